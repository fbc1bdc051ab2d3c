import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { isPasswordHash } from '../../../core/access/passwords.ts'
import { conflict, notFound } from '../../../core/errors.ts'
import type { Credentials } from '../auth/queries.ts'
import { credentialsOf } from '../users/queries.ts'
import { deleteIdentities, identitiesOf } from './queries.ts'
import type { ExternalIdentity } from './schema.ts'

/** The identities that a user signs in by. */
export const listIdentities = async (ctx: Context, user_id: number) =>
  await ctx.read<Static<typeof ExternalIdentity>>(identitiesOf(user_id))

/**
 * Unlinks one of one's own identities. Errors: 404; 409 for the last one of a user without a
 * password.
 */
export async function unlinkOwn(ctx: Context, id: number): Promise<void> {
  const user_id = ctx.user_id!
  await ctx.withLocks(['admins'], async ctx => {
    const removed = await ctx.write([], deleteIdentities(user_id, id))
    if (removed.length === 0) throw notFound('identity')
    const [left] = await listIdentities(ctx, user_id)
    const user = await ctx.one<Credentials>(credentialsOf(user_id))
    if (!left && !isPasswordHash(user!.password_hash))
      throw conflict('This is your only way to sign in. Set a password first.')
  })
}

/** Unlinks all identities of a user. */
export async function unlinkAll(ctx: Context, user_id: number): Promise<void> {
  await ctx.write([], deleteIdentities(user_id, null))
}
