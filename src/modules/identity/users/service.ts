import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { assertNotOwnName, assertUncommon, noPassword } from '../../../core/access/passwords.ts'
import { defined } from '../../../core/defined.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { ours } from '../../../core/db/sql.ts'
import { conflict, ruleBroken } from '../../../core/errors.ts'
import { cleanName } from '../../../core/names.ts'
import { equal, type Filter } from '../../../core/records/filter.ts'
import type { ListQuery, Page } from '../../../core/records/list.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import type { RowOf } from '../../../core/records/resource.ts'
import { assertTimeZone } from '../../../core/records/time-zones.ts'
import { endSessions } from '../auth/sessions.ts'
import { deleteUserFailures } from '../auth/throttle.ts'
import { apiTokenResource } from '../api-tokens/resource.ts'
import { deleteResets } from '../password-resets/queries.ts'
import { roleService } from '../roles/service.ts'
import { roles } from '../roles/table.ts'
import { userResource } from './resource.ts'
import { assertCovered, assertMayActAs, rolesFor } from './role-assignment.ts'
import { UserSummary, type NewUser, type UserChanges } from './schema.ts'
import { users } from './table.ts'

/** A new user, whose password is hashed: not within a transaction, since that takes long. */
export type Account = Omit<Static<typeof NewUser>, 'password'> & { password_hash?: string }
type User = RowOf<typeof userResource>

const records = repository(userResource)
const defaultRole = 'user'
const passwordOfService = () =>
  ruleBroken('password', 'A service account has no password.', { rule: 'service_account' })
const missingPassword = () =>
  ruleBroken('password', 'A person requires a password.', { rule: 'required' })

export const userService = {
  ...records,

  /**
   * Creates a user. Errors: 409 for a taken username or email, 422 for a common password or one
   * that is the user's name, and for an unknown role; 403 for one that allows more than the caller
   * may do.
   */
  async create(ctx: Context, input: Static<typeof NewUser>) {
    const { password, ...user } = input
    const { kind, username, email } = user
    if (kind === 'service') {
      if (password !== undefined) throw passwordOfService()
    } else {
      if (password === undefined) throw missingPassword()
      await assertUncommon(password, 'password')
      assertNotOwnName(password, [username, email], 'password')
    }
    const secret = password !== undefined && {
      password_hash: await ctx.services.passwords.hash(password)
    }
    return await userService.createUnchecked(ctx, { ...user, ...secret })
  },

  /**
   * Creates a user whose password was checked, or is the operator's choice; without one, the user
   * cannot log in with it. Errors: 409, 422, 403.
   */
  async createUnchecked(ctx: Context, { password_hash = noPassword(), ...input }: Account) {
    const user = withCleanName(input)
    const { role, role_ids } = user
    await assertTimeZone(ctx, user.time_zone)
    const given = role === undefined && role_ids === undefined ? { role: defaultRole } : user
    return await ctx.withLocks(['admins'], async ctx => {
      const roles = (await rolesFor(ctx, given))!
      return await records.create(ctx, { ...user, ...roles, password_hash })
    })
  },

  /**
   * Changes a user. A new password or the status `disabled` ends all of the user's sessions; new
   * roles count from the next request on. Errors: 404, 412, 422, 409 when no admin would be left,
   * 403 for a user whose roles, before or after, allow more than the caller may do.
   */
  async update(
    ctx: Context,
    id: number,
    { password, ...changes }: Static<typeof UserChanges>,
    versions?: Versions
  ) {
    if (password !== undefined) await assertUncommon(password, 'password')
    await assertTimeZone(ctx, changes.time_zone)
    const secret =
      password === undefined ? {} : { password_hash: await ctx.services.passwords.hash(password) }
    const user = await keepingAnAdmin(ctx, async ctx => {
      const before = await records.lock(ctx, id)
      await assertCovered(ctx, before.role_ids)
      if (password !== undefined && before.kind === 'service') throw passwordOfService()
      const isMoved = changes.email !== undefined && changes.email !== before.email
      // a password is reset by email, and an identity provider names users by it
      if (password !== undefined || isMoved) await userService.assertMayActAs(ctx, before)
      const roles = await rolesFor(ctx, changes, before)
      const { role: _, role_ids: __, ...others } = withCleanName(changes)
      const user = await records.update(ctx, id, { ...others, ...roles, ...secret }, versions)
      if (password !== undefined)
        assertNotOwnName(password, [user.username, user.email], 'password')
      if (password !== undefined) await ctx.write([], deleteUserFailures(ctx.services, id))
      if (password !== undefined || user.status === 'disabled') await endAccess(ctx, id)
      else if (isMoved) await ctx.write([], deleteResets(id))
      return user
    })
    return user
  },

  /** Errors: 403 if acting as a user would reach what the caller does not. */
  async assertMayActAs(ctx: Context, { id, role_ids }: User): Promise<void> {
    assertMayActAs(ctx, id, await roleService.accessOf(ctx, role_ids))
  },

  /**
   * Runs `work` for a user whose roles nobody changes meanwhile. Errors: 404, 403 for a user whose
   * roles allow more than the caller may do.
   */
  async manage<T>(
    ctx: Context,
    id: number,
    work: (ctx: Context, user: User) => Promise<T>
  ): Promise<T> {
    return await ctx.withLocks(['admins'], async ctx => {
      const user = await records.get(ctx, id)
      await assertCovered(ctx, user.role_ids)
      return await work(ctx, user)
    })
  },

  /**
   * Changes the password of a user who has proven to know the one hashed as `known`, and ends all
   * sessions. Returns the new hash; undefined, with nothing changed, if the password is another
   * one by then.
   */
  async changePassword(
    ctx: Context,
    id: number,
    password: string,
    known: string
  ): Promise<string | undefined> {
    const password_hash = await ctx.services.passwords.hash(password)
    return await ctx.transaction(async ctx => {
      const user = await ctx.one(sql`select from ${ours(users)}
        where id = ${id} and password_hash = ${known} for no key update`)
      if (!user) return undefined
      await records.update(ctx, id, { password_hash })
      await endAccess(ctx, id)
      return password_hash
    })
  },

  /** Notes since when a user has a second factor, or that there is none. */
  async noteSecondFactor(ctx: Context, id: number, since: string | null): Promise<void> {
    await records.update(ctx, id, { second_factor_since: since })
  },

  /**
   * Hashes the password of a user anew, without any effect but that. Returns the new hash; `known`
   * if the user has another password by then.
   */
  async rehash(ctx: Context, id: number, password: string, known: string): Promise<string> {
    const password_hash = await ctx.services.passwords.hash(password)
    return await ctx.transaction(async ctx => {
      const user = await ctx.one(sql`select from ${ours(users)}
        where id = ${id} and password_hash = ${known} for no key update`)
      if (!user) return known
      await records.update(ctx, id, { password_hash })
      return password_hash
    })
  },

  /**
   * Deletes a user and ends all of the user's sessions; after a restoration the user logs in again.
   * Errors: 404, 412, 409 when no admin would be left.
   */
  async remove(ctx: Context, id: number, versions?: Versions): Promise<void> {
    await keepingAnAdmin(ctx, async ctx => {
      const { role_ids } = await records.get(ctx, id)
      await assertCovered(ctx, role_ids)
      await records.remove(ctx, id, versions)
      await endAccess(ctx, id)
      await removeTokens(ctx, id)
    })
  },

  /**
   * Restores a user, without the API tokens of before. Errors: 404, 409 for a taken name or a role
   * that was deleted, 403 for a user whose roles allow more than the caller may do.
   */
  async restore(ctx: Context, id: number) {
    return await ctx.withLocks(['admins'], async ctx => {
      const user = await records.restore(ctx, id)
      await assertCovered(ctx, user.role_ids)
      const roles = await roleService.findInOrder(ctx, user.role_ids)
      if (roles.length < user.role_ids.length)
        throw conflict('A role of the user was deleted: restore it first.')
      return await records.update(ctx, id, { role: roles[0]!.name })
    })
  },

  /**
   * The names of the active users. `words` are searched for in the names alone, so that email
   * addresses cannot be guessed.
   */
  async directory(
    ctx: Context,
    { words = [], ...page }: Pick<ListQuery, 'words' | 'limit' | 'cursor'>
  ): Promise<Page<Static<typeof UserSummary>>> {
    const named: Filter[] = words.map(value => ({ field: 'username', operator: 'like', value }))
    return await records.list(ctx, {
      ...page,
      fields: Object.keys(UserSummary.properties),
      sort: [{ field: 'username', descending: false }],
      filters: [...equal({ status: 'active' }), ...named]
    })
  },

  /** Those of the users that work can be assigned to: the active ones, in the order given. */
  async findActive(ctx: Context, ids: number[]): Promise<number[]> {
    const found = await records.find(ctx, ids)
    const active = new Set(found.filter(({ status }) => status === 'active').map(({ id }) => id))
    return ids.filter(id => active.has(id))
  }
}

/**
 * Names as they are stored: in one form, without characters that nobody sees. So is the email
 * address, which may be the name. Errors: 422 for a name of which nothing is left.
 */
function withCleanName<T extends { username?: string; email?: string }>(user: T): T {
  const username = user.username === undefined ? undefined : cleanName(user.username)
  if (username === '')
    throw ruleBroken('username', 'The username has no visible characters.', {
      rule: 'visible_text'
    })
  return { ...user, ...defined({ username, email: user.email?.normalize('NFC') }) }
}

/** Deletes the API tokens of a user, for good. */
async function removeTokens(ctx: Context, user_id: number): Promise<void> {
  const tokens = repository(apiTokenResource)
  const all = ctx.unlimited
  for await (const found of tokens.stream(all, { filters: equal({ user_id }), fields: ['id'] }))
    for (const { id } of found) await tokens.remove(all, id)
}

/** Ends the sessions of a user, and the password resets that were mailed. */
async function endAccess(ctx: Context, id: number): Promise<void> {
  await endSessions(ctx, id)
  await ctx.write([], deleteResets(id))
}

/**
 * Runs `work` unless it would leave the organization without an active admin; one such change at a
 * time. Errors: 409.
 */
async function keepingAnAdmin<T>(ctx: Context, work: (ctx: Context) => Promise<T>): Promise<T> {
  return await ctx.withLocks(['admins'], async ctx => {
    const result = await work(ctx)
    const admin = await ctx.one(sql`select from ${ours(users)} join ${ours(roles)}
        on ${users.role_ids} @> array[${roles.id}]
      where ${roles.is_built_in} and ${roles.name} = 'admin' and ${users.status} = 'active'
        and ${users.kind} = 'person' limit 1`)
    if (!admin) throw conflict('This is the last active admin; an organization needs at least one.')
    return result
  })
}
