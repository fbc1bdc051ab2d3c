import type { Context } from '../../../core/access/context.ts'
import { newToken } from '../../../core/access/tokens.ts'
import { Problem } from '../../../core/errors.ts'
import { inTurn, invitationService } from '../invitations/service.ts'
import { roleService } from '../roles/service.ts'
import { fields as userFields } from '../users/schema.ts'
import { userService } from '../users/service.ts'
import type { Person } from './people.ts'
import {
  accountOf,
  insertIdentity,
  isUnchanged,
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
  const user = known ?? (await link(ctx, provider, person, roles))
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
 * Links an identity to the user of its email address, or to a new one. One sign-in at a time: a
 * second one of the same person finds what the first one did.
 */
async function link(
  ctx: Context,
  provider: Provider,
  person: Person,
  roles: number[]
): Promise<Account> {
  return await ctx.withLocks(['admins', inTurn], async ctx => {
    if (!(await ctx.one(isUnchanged(provider)))) throw new SignInRefused('provider_changed')
    const [known] = await ctx.write<Account>([], useIdentity(provider, person))
    if (known) return known
    const existing = await ctx.one<Existing>(accountOf(provider.id, person.email))
    if (existing?.is_linked) throw new SignInRefused('identity_conflict')
    const user = existing ?? (await create(ctx, person, roles))
    if (!user.may_sign_in) return user
    await ctx.write([], insertIdentity(provider.id, user.id, person))
    return user
  })
}

/** Makes a person a user: as someone invited them to be, or with the roles of the provider. */
async function create(ctx: Context, person: Person, role_ids: number[]): Promise<Account> {
  const { email, first_name, last_name } = person
  const account = { username: usernameFor(email), email, first_name, last_name }
  const invited = await invitationService.acceptFor(ctx, account)
  if (!invited && role_ids.length === 0) throw new SignInRefused('no_role')
  const user = invited ?? (await userService.createUnchecked(ctx, { ...account, role_ids }))
  return { id: user.id, role_ids: user.role_ids, may_sign_in: true }
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
