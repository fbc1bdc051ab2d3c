import type { Context } from '../../../core/access/context.ts'
import { newToken } from '../../../core/access/tokens.ts'
import { Problem } from '../../../core/errors.ts'
import { recordAccess } from '../../../core/records/events.ts'
import { invitationLock, invitationService } from '../invitations/service.ts'
import { roleService } from '../roles/service.ts'
import { fields as userFields } from '../users/schema.ts'
import { userService } from '../users/service.ts'
import type { Person } from './people.ts'
import {
  accountOf,
  insertIdentity,
  lockUnchanged,
  useIdentity,
  type Account,
  type Existing,
  type Provider
} from './queries.ts'
import { SignInRefused } from './refusals.ts'

/**
 * The user of a person who has signed in, with the roles that the provider says: one who is linked
 * to the identity, else the one of the email address, else a new one. Errors: `SignInRefused`.
 */
export async function userOf(ctx: Context, provider: Provider, person: Person): Promise<number> {
  const roles = await rolesOf(ctx, provider, person)
  if (provider.role_claim !== null && roles.length === 0) throw new SignInRefused('no_role')
  const [known] = await ctx.write<Account>([], useIdentity(provider, person))
  const user = known && !known.is_deleted ? known : await link(ctx, provider, person, roles)
  if (!user.may_sign_in) throw new SignInRefused('user_refused')
  if (provider.role_claim !== null) await giveRoles(ctx, user, roles)
  return user.id
}

/** The roles of a person, in the order of the mapping; none if none is provided. */
async function rolesOf(
  ctx: Context,
  { role_mapping, default_role_id }: Provider,
  { values }: Person
): Promise<number[]> {
  const mapped = role_mapping.filter(({ value }) => values.includes(value))
  const ids = [...new Set(mapped.map(({ role_id }) => role_id))]
  const given = ids.length === 0 && default_role_id !== null ? [default_role_id] : ids
  const roles = await roleService.findInOrder(ctx, given)
  return roles.map(({ id }) => id).slice(0, userFields.role_ids.maxItems)
}

/**
 * Links an identity to the user of its email address, or to a new one. A person who was deleted
 * becomes a user again only by an invitation. One sign-in at a time: a second one of the same
 * person finds what the first one did.
 */
async function link(
  ctx: Context,
  provider: Provider,
  person: Person,
  roles: number[]
): Promise<Account> {
  return await ctx.withLocks(['admins', invitationLock], async ctx => {
    if (!(await ctx.one(lockUnchanged(provider)))) throw new SignInRefused('provider_changed')
    const [known] = await ctx.write<Account>([], useIdentity(provider, person))
    if (known && !known.is_deleted) return known
    const existing = await ctx.one<Existing>(accountOf(provider.id, person.email))
    if (existing?.is_linked) throw new SignInRefused('identity_conflict')
    const user =
      existing ?? (await invited(ctx, person)) ?? known ?? (await create(ctx, person, roles))
    if (!user.may_sign_in) return user
    await ctx.write([], insertIdentity(provider.id, user.id, person))
    const subject = { type: 'user', id: user.id }
    await recordAccess(ctx, 'identity.linked', { provider_id: provider.id }, subject)
    return user
  })
}

const accountFor = ({ email, first_name, last_name }: Person) => ({
  username: usernameFor(email),
  email,
  first_name,
  last_name
})
const accountOfUser = ({ id, role_ids }: { id: number; role_ids: number[] }): Account => ({
  id,
  role_ids,
  is_deleted: false,
  may_sign_in: true
})

/** Makes a person a user, if someone has invited them. */
async function invited(ctx: Context, person: Person): Promise<Account | undefined> {
  const user = await invitationService.acceptFor(ctx, accountFor(person))
  return user && accountOfUser(user)
}

/** Makes a person a user with the roles of the provider. */
async function create(ctx: Context, person: Person, role_ids: number[]): Promise<Account> {
  if (role_ids.length === 0) throw new SignInRefused('no_role')
  const account = { ...accountFor(person), role_ids }
  return accountOfUser(await userService.createUnchecked(ctx, account))
}

/** The email address, or a random name for one that is too long for that. */
const usernameFor = (email: string) =>
  email.length <= userFields.username.maxLength! ? email : `user-${newToken().slice(0, 10)}`

/** Gives a user the roles of the provider. The last active admin stays one. */
async function giveRoles(ctx: Context, user: Account, role_ids: number[]): Promise<void> {
  if (role_ids.join() === user.role_ids.join()) return
  try {
    await userService.update(ctx, user.id, { role_ids })
  } catch (error) {
    if (!(error instanceof Problem && error.code === 'conflict')) throw error
  }
}
