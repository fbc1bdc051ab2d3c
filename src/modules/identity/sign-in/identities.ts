import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { isPasswordHash } from '../../../core/access/passwords.ts'
import { conflict, notFound } from '../../../core/errors.ts'
import { recordAccess } from '../../../core/records/events.ts'
import type { VerifiedUser } from '../auth/queries.ts'
import { credentialsOf } from '../users/queries.ts'
import { userService } from '../users/service.ts'
import { deleteIdentities, hasUsableIdentity, identitiesOf } from './queries.ts'
import type { ExternalIdentity } from './schema.ts'

/** The identities that a user signs in with. */
export const listIdentities = async (ctx: Context, user_id: number) =>
  await ctx.read<Static<typeof ExternalIdentity>>(identitiesOf(user_id))

/**
 * Unlinks one of one's own identities. Errors: 404; 409 for the last one of a user without a
 * password.
 */
export async function unlinkOwn(ctx: Context, id: number): Promise<void> {
  const user_id = ctx.user_id!
  await ctx.withLocks(['admins'], async ctx => {
    if ((await unlink(ctx, user_id, id)) === 0) throw notFound('identity')
    await assertWayIn(ctx)
  })
}

/** Errors: 409 if the caller has neither a password nor an identity left. */
async function assertWayIn(ctx: Context): Promise<void> {
  const user_id = ctx.user_id!
  const user = await ctx.one<VerifiedUser>(credentialsOf(user_id))
  if (isPasswordHash(user!.password_hash)) return
  if (!(await ctx.one(hasUsableIdentity(user_id))))
    throw conflict('This is your only way to sign in. Reset your password first, to have one.')
}

/**
 * Unlinks all identities of a user. Errors: 404, 403 if the user may do more than the caller; of
 * oneself, as `unlinkOwn`.
 */
export async function unlinkAll(ctx: Context, user_id: number): Promise<void> {
  await userService.manage(ctx, user_id, async ctx => {
    await unlink(ctx, user_id, null)
    if (user_id === ctx.user_id) await assertWayIn(ctx)
  })
}

/** Returns how many were unlinked, within the transaction of `ctx`. */
async function unlink(ctx: Context, user_id: number, only: number | null): Promise<number> {
  const unlinked = await ctx.write<{ id: number }>([], deleteIdentities(user_id, only))
  const details = { identity_ids: unlinked.map(({ id }) => id) }
  if (unlinked.length > 0)
    await recordAccess(ctx, 'identity.unlinked', details, { type: 'user', id: user_id })
  return unlinked.length
}
