import type { Static } from '@sinclair/typebox'
import { createHash, randomBytes } from 'node:crypto'
import type { Context } from '../../../core/access/context.ts'
import { isNetwork } from '../../../core/access/networks.ts'
import { isPermission } from '../../../core/access/permissions.ts'
import { notGrantable, ruleBroken, unknownReference } from '../../../core/errors.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import type { RowOf } from '../../../core/records/resource.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { ours } from '../../../core/db/sql.ts'
import { authService } from '../auth/service.ts'
import { apiTokenResource } from './resource.ts'
import type { ApiTokenChanges, NewApiToken } from './schema.ts'
import { apiTokens } from './table.ts'

const { cacheKey: _, create, restore: __, ...records } = repository(apiTokenResource)
type Row = RowOf<typeof apiTokenResource>
type Issued = Row & { token: string }

const hashOf = (token: string) => createHash('sha256').update(token).digest('hex')
const hour = 3_600_000

export const apiTokenService = {
  ...records,

  /**
   * Creates a token and returns it, which nothing does again. Errors: 403 for scopes that the user
   * does not have, or another user without the permission to change users; 422.
   */
  async issue(
    ctx: Context,
    { user_id = ctx.user_id!, ...input }: Static<typeof NewApiToken>
  ): Promise<Issued> {
    if (user_id !== ctx.user_id) ctx.require('users:update')
    await assertValid(ctx, user_id, input)
    const secret = newSecret()
    const row = await create(ctx, { ...input, user_id, secret_hash: hashOf(secret) })
    return { ...row, token: tokenOf(row, secret) }
  },

  /** Changes a token. Errors: 404, 403, 412, 422. */
  async update(
    ctx: Context,
    id: number,
    changes: Static<typeof ApiTokenChanges>,
    versions?: Versions
  ): Promise<Row> {
    return await ctx.transaction(async ctx => {
      const { user_id } = await records.lock(ctx, id, versions)
      await assertValid(ctx, user_id, changes)
      return await records.update(ctx, id, changes)
    })
  },

  /** Replaces the secret; the old one works on for some hours. Errors: 404, 403, 412. */
  async rotate(ctx: Context, id: number, hours: number, versions?: Versions): Promise<Issued> {
    const secret = newSecret()
    return await ctx.transaction(async ctx => {
      await records.lock(ctx, id, versions)
      const row = await records.update(ctx, id, {
        previous_hash: await secretHashOf(ctx, id),
        previous_until: new Date(Date.now() + hours * hour).toISOString(),
        secret_hash: hashOf(secret)
      })
      return { ...row, token: tokenOf(row, secret) }
    })
  }
}

const newSecret = () => randomBytes(32).toString('base64url')

/** The token in full; of it, only the hash of the secret is stored. */
const tokenOf = ({ id }: Row, secret: string) => `sx_${id}_${secret}`

async function secretHashOf(ctx: Context, id: number): Promise<string> {
  const row = await ctx.one<{ hash: string }>(sql`select secret_hash as hash
    from ${ours(apiTokens)} where id = ${id}`)
  return row!.hash
}

/** Errors: 422 for an impossible user, scope, network or time; 403 for what the user may not do. */
async function assertValid(
  ctx: Context,
  user_id: number,
  { scopes = [], allowed_networks = [], expires_at }: Static<typeof ApiTokenChanges>
): Promise<void> {
  const owner = await authService.principalOfUser(ctx.services, ctx.organization_id, user_id)
  if (!owner) throw unknownReference(['user_id'])
  const refuse = (field: string, detail: string, rule: string) => {
    throw ruleBroken(field, detail, { rule })
  }
  for (const [i, scope] of scopes.entries()) {
    if (scope !== '*' && !isPermission(scope))
      refuse(`scopes/${i}`, `There is no permission ${scope}.`, 'scope')
    if (scope !== '*' && !owner.access.can(scope)) throw notGrantable()
  }
  for (const [i, network] of allowed_networks.entries())
    if (!isNetwork(network))
      refuse(`allowed_networks/${i}`, `${network} is no address and no range.`, 'network')
  if (expires_at && Date.parse(expires_at) <= Date.now())
    refuse('expires_at', 'The time must be in the future.', 'future')
  if (!ctx.principal.access.covers(owner.access)) throw notGrantable()
}
