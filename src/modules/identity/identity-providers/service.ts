import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import type { Services } from '../../../core/services.ts'
import { defined } from '../../../core/defined.ts'
import { conflict, ruleBroken, unknownReference } from '../../../core/errors.ts'
import { recordAccess } from '../../../core/records/events.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import { roleService } from '../roles/service.ts'
import { forgetUsersOf } from '../sign-in/queries.ts'
import { assertCovered } from '../users/role-assignment.ts'
import { identityProviderResource } from './resource.ts'
import type { IdentityProviderChanges, NewIdentityProvider } from './schema.ts'
import { sealSecret } from './secret.ts'
import type { RoleMapping } from './table.ts'

const records = repository(identityProviderResource)

export const identityProviderService = {
  ...records,

  /**
   * Creates a provider. Errors: 409 for a taken name, 422 for an issuer that cannot be requested
   * and an unknown role, 403 without all permissions.
   */
  async create(ctx: Context, { client_secret, ...input }: Static<typeof NewIdentityProvider>) {
    const { services, organization_id } = ctx
    assertPermitted(services, input.issuer)
    const encrypted_secret = sealSecret(services, { organization_id, ...input }, client_secret)
    return await ctx.withLocks(['admins'], async ctx => {
      await assertOmnipotent(ctx)
      await assertRoles(ctx, input.role_mapping)
      return await records.create(ctx, { ...input, encrypted_secret })
    })
  },

  /**
   * Changes a provider; another issuer unlinks its users. Errors: 404, 412, 409, 422 as above, and
   * for another issuer or client without its secret; 403.
   */
  async update(
    ctx: Context,
    id: number,
    { client_secret, ...changes }: Static<typeof IdentityProviderChanges>,
    versions?: Versions
  ) {
    const { services, organization_id } = ctx
    return await ctx.withLocks(['admins'], async ctx => {
      await assertOmnipotent(ctx)
      const before = await records.lock(ctx, id, versions)
      const { issuer, client_id } = { ...before, ...defined(changes) }
      const isMoved = issuer !== before.issuer
      if (isMoved) assertPermitted(services, issuer)
      if (client_secret === undefined && (isMoved || client_id !== before.client_id))
        throw ruleBroken(
          'client_secret',
          '`client_secret` is required when `issuer` or `client_id` changes.',
          {
            rule: 'secret_required'
          }
        )
      await assertRoles(ctx, changes.role_mapping)
      if (isMoved) {
        const unlinked = await ctx.write<{ id: number }>([], forgetUsersOf(id))
        const details = { identity_ids: unlinked.map(({ id }) => id) }
        const subject = { type: 'identity_provider', id }
        if (unlinked.length > 0) await recordAccess(ctx, 'identity.unlinked', details, subject)
      }
      const client = { organization_id, issuer, client_id }
      return await records.update(ctx, id, {
        ...changes,
        ...(client_secret !== undefined && {
          encrypted_secret: sealSecret(services, client, client_secret)
        })
      })
    })
  },

  /** Deletes a provider. Errors: 404, 412, 403. */
  async remove(ctx: Context, id: number, versions?: Versions): Promise<void> {
    await ctx.withLocks(['admins'], async ctx => {
      await assertOmnipotent(ctx)
      await records.remove(ctx, id, versions)
    })
  },

  /** Restores a provider. Errors: 404, 409 for a taken name or a role that was deleted; 403. */
  async restore(ctx: Context, id: number) {
    return await ctx.withLocks(['admins'], async ctx => {
      await assertOmnipotent(ctx)
      const provider = await records.restore(ctx, id)
      if ((await unknownRoles(ctx, provider.role_mapping)).length > 0)
        throw conflict('A role of the mapping was deleted: restore it first.')
      return provider
    })
  }
}

/** Whoever chooses the provider can sign in as any user. Errors: 403 without all permissions. */
async function assertOmnipotent(ctx: Context): Promise<void> {
  const admin = await roleService.named(ctx, 'admin')
  await assertCovered(ctx, [admin!.id])
}

/** Errors: 422 for an issuer that no request may go to. */
function assertPermitted({ outbound }: Services, issuer: string): void {
  if (!URL.canParse(issuer) || !outbound.permits(issuer))
    throw ruleBroken(
      'issuer',
      'The issuer must be an https URL of a public server, or of one in OUTBOUND_NETWORKS.',
      {
        rule: 'outbound'
      }
    )
}

/** The places of those in the mapping whose role does not exist. */
async function unknownRoles(ctx: Context, mapping: RoleMapping[]): Promise<number[]> {
  const ids = [...new Set(mapping.map(({ role_id }) => role_id))]
  const found = new Set((await roleService.find(ctx, ids)).map(({ id }) => id))
  return mapping.flatMap(({ role_id }, i) => (found.has(role_id) ? [] : [i]))
}

/** Errors: 422 for a role that does not exist. */
async function assertRoles(ctx: Context, mapping: RoleMapping[] = []): Promise<void> {
  const unknown = await unknownRoles(ctx, mapping)
  if (unknown.length > 0) throw unknownReference(unknown.map(i => `role_mapping/${i}/role_id`))
}
