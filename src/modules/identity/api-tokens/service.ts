import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { isNetwork } from '../../../core/access/networks.ts'
import {
  isForTokens,
  isPermission,
  riskOf,
  risks,
  type Access
} from '../../../core/access/permissions.ts'
import { hashOf, newToken } from '../../../core/access/tokens.ts'
import { defined } from '../../../core/defined.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { ours } from '../../../core/db/sql.ts'
import { conflict, forbidden, ruleBroken, unknownReference } from '../../../core/errors.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import type { RowOf } from '../../../core/records/resource.ts'
import { authService } from '../auth/service.ts'
import { roleService } from '../roles/service.ts'
import { assertMayActAs } from '../users/role-assignment.ts'
import { userService } from '../users/service.ts'
import { apiTokenResource } from './resource.ts'
import type { ApiTokenChanges, NewApiToken } from './schema.ts'
import { formatToken } from './secret.ts'
import { apiTokens } from './table.ts'

// its last use is no change of a token: it is not cached, and its deletion is final
const { cacheKey: _, create, restore: __, ...records } = repository(apiTokenResource)
type Row = RowOf<typeof apiTokenResource>
type Issued = Row & { token: string }
type Settings = Static<typeof ApiTokenChanges>

const hour = 3_600_000
/** API tokens of a user; they are all deleted with the user, one by one. */
const maxTokens = 200

export const apiTokenService = {
  ...records,

  /**
   * Creates a token and returns it, which nothing does again. Errors: 403 for scopes that the user
   * does not have, or for another user who may do more than the caller; 422; 409 for too many.
   */
  async issue(
    ctx: Context,
    { user_id = ctx.user_id!, ...input }: Static<typeof NewApiToken>
  ): Promise<Issued> {
    if (user_id !== ctx.user_id) ctx.require('users:update')
    const owner = await authService.principalOfUser(ctx.services, ctx.organization_id, user_id)
    if (!owner) throw unknownReference(['user_id'])
    assertMayActAs(ctx, user_id, owner.access)
    assertHeld(owner.access, input.scopes)
    if ((await countTokens(ctx, user_id)) >= maxTokens)
      throw conflict(`A user can have at most ${maxTokens} API tokens. Delete one first.`)
    assertPossible({ risk: 'read', ...input })
    const secret = newToken()
    const row = await create(ctx, { ...input, user_id, secret_hash: hashOf(secret) })
    return { ...row, token: formatToken(row.id, secret) }
  },

  /** Changes a token. Errors: 404, 412, 403 and 422 as `issue`. */
  async update(ctx: Context, id: number, changes: Settings, versions?: Versions): Promise<Row> {
    return await ctx.transaction(async ctx => {
      const before = await lock(ctx, id, versions)
      const { expires_at, ...others } = changes
      const added = others.scopes?.filter(scope => !before.scopes.includes(scope)) ?? []
      if (added.length > 0) assertHeld(await accessOfOwner(ctx, before), added)
      const isNew = expires_at !== before.expires_at
      const expiry = isNew ? (expires_at ?? null) : null
      assertPossible({ ...before, ...defined(others), expires_at: expiry })
      return await records.update(ctx, id, changes)
    })
  },

  /** Replaces the secret; the old one works on for some hours. Errors: 404, 403, 412. */
  async rotate(ctx: Context, id: number, hours: number, versions?: Versions): Promise<Issued> {
    const secret = newToken()
    return await ctx.transaction(async ctx => {
      await lock(ctx, id, versions)
      const row = await records.update(ctx, id, {
        previous_hash: await secretHashOf(ctx, id),
        previous_until: new Date(Date.now() + hours * hour).toISOString(),
        secret_hash: hashOf(secret)
      })
      return { ...row, token: formatToken(id, secret) }
    })
  }
}

async function countTokens(ctx: Context, user_id: number): Promise<number> {
  const [found] = await ctx.read<{ count: number }>(
    sql`select count(*) as count from ${ours(apiTokens)} where user_id = ${user_id}`
  )
  return found!.count
}

/**
 * A token that nobody else changes. Errors: 404, 412, 403 if its user may do more than the caller.
 */
async function lock(ctx: Context, id: number, versions: Versions): Promise<Row> {
  const row = await records.lock(ctx, id, versions)
  assertMayActAs(ctx, row.user_id, await accessOfOwner(ctx, row))
  return row
}

async function accessOfOwner(ctx: Context, { user_id }: Row): Promise<Access> {
  const [user] = await userService.findWithDeleted(ctx.unlimited, [user_id])
  return await roleService.accessOf(ctx, user!.role_ids)
}

/** Errors: 403 for a scope that the owner does not have. */
function assertHeld(access: Access, scopes: readonly string[]): void {
  const scope = scopes.find(scope => scope !== '*' && !access.can(scope))
  if (scope !== undefined && isPermission(scope)) throw forbidden(scope)
}

async function secretHashOf(ctx: Context, id: number): Promise<string> {
  const row = await ctx.one<{ hash: string }>(sql`select secret_hash as hash
    from ${ours(apiTokens)} where id = ${id}`)
  return row!.hash
}

/** Errors: 422 for a scope that no token has or that needs a greater risk, a network, a time. */
function assertPossible({
  scopes = [],
  risk = 'read',
  allowed_networks = [],
  expires_at
}: Settings): void {
  const refuse = (field: string, detail: string, rule: string) => {
    throw ruleBroken(field, detail, { rule })
  }
  for (const [i, scope] of scopes.entries()) {
    if (scope === '*') continue
    if (!isPermission(scope)) refuse(`scopes/${i}`, `There is no permission ${scope}.`, 'scope')
    if (!isForTokens(scope)) refuse(`scopes/${i}`, `No API token can have ${scope}.`, 'scope')
    const needed = riskOf(scope)
    if (risks.indexOf(needed) > risks.indexOf(risk))
      refuse('risk', `The scope ${scope} requires the risk "${needed}".`, 'risk')
  }
  for (const [i, network] of allowed_networks.entries())
    if (!isNetwork(network))
      refuse(`allowed_networks/${i}`, `${network} is neither an address nor a range.`, 'network')
  if (expires_at && Date.parse(expires_at) <= Date.now())
    refuse('expires_at', 'The time must be in the future.', 'future')
}
