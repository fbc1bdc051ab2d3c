import type { Static } from '@sinclair/typebox'
import { sql } from '../../../core/db/drizzle.ts'
import { collection, type Versions } from '../../../core/records/repository.ts'
import type { Context } from '../../../core/access/context.ts'
import { build, rowsOf, soon } from '../../../core/db/database.ts'
import { conflict } from '../../../core/errors.ts'
import { refuseCommon } from '../../../core/access/passwords.ts'
import type { ListQuery, Page } from '../../../core/records/list.ts'
import type { NewUser, UserChanges, UserSummary } from './schema.ts'
import { users } from './table.ts'

const {
  create: insert,
  update: change,
  remove: removeAny,
  find,
  ...rest
} = collection('user', users)
export const { list, stream, get, restore, history, cacheKey } = rest

/** Makes a user. Errors: 409 for a name or e-mail that is taken, 422 for a password that everybody knows. */
export async function create(ctx: Context, { password, ...user }: Static<typeof NewUser>) {
  await refuseCommon(password, 'password')
  return await insert(ctx, { ...user, password_hash: await ctx.services.passwords.hash(password) })
}

/** The user an installation begins with; its password is the operator's choice. */
export const createFirst = async (ctx: Context, { password, ...user }: Static<typeof NewUser>) =>
  await insert(ctx, { ...user, password_hash: await ctx.services.passwords.hash(password) })

/** Changes a user; whose password changes or who is disabled is logged out everywhere. Errors: 409 when no admin would be left. */
export async function update(
  ctx: Context,
  id: number,
  { password, ...changes }: Static<typeof UserChanges>,
  versions?: Versions
) {
  if (password !== undefined) await refuseCommon(password, 'password')
  const secret =
    password === undefined ? {} : { password_hash: await ctx.services.passwords.hash(password) }
  return await keepingAnAdmin(ctx, async ctx => {
    const user = await change(ctx, id, { ...changes, ...secret }, versions)
    if (password !== undefined || user.status === 'disabled') await endSessions(ctx, id)
    return user
  })
}

/**
 * Changes a password whose owner has proven to know the one hashed as `known`, and ends all sessions. Returns the new hash;
 * undefined, and changes nothing, when the password is another one by now.
 */
export async function changePasswordOf(
  ctx: Context,
  id: number,
  password: string,
  known: string
): Promise<string | undefined> {
  const password_hash = await ctx.services.passwords.hash(password)
  return await ctx.transaction(async ctx => {
    const [user] = await soon(ctx.connection`
      select from users where organization_id = ${ctx.organization_id} and id = ${id} and password_hash = ${known} for no key update`)
    if (!user) return undefined
    await change(ctx, id, { password_hash })
    await endSessions(ctx, id)
    return password_hash
  })
}

async function endSessions(ctx: Context, user_id: number): Promise<void> {
  const ended = await soon(ctx.connection<{ id: number }[]>`
    update sessions set revoked_at = now() where organization_id = ${ctx.organization_id} and user_id = ${user_id} and revoked_at is null returning id`)
  for (const { id } of ended) await ctx.changed(`session/${id}`)
}

/** Deletes a user, and ends the sessions for good: a user who is restored logs in anew. Errors: 409 when no admin would be left. */
export const remove = async (ctx: Context, id: number, versions?: Versions) =>
  await keepingAnAdmin(ctx, async ctx => {
    await removeAny(ctx, id, versions)
    await endSessions(ctx, id)
  })

/** The names of the active users, for whoever assigns work. `words` are looked for in them alone, so that e-mails cannot be guessed. */
export async function directory(
  ctx: Context,
  { words = [], ...page }: Pick<ListQuery, 'words' | 'limit' | 'cursor'>
): Promise<Page<Static<typeof UserSummary>>> {
  return await list(ctx, {
    ...page,
    fields: ['id', 'username'],
    sort: [{ field: 'username', descending: false }],
    filters: [
      { field: 'status', operator: 'eq', value: 'active' },
      ...words.map(value => ({ field: 'username', operator: 'like' as const, value }))
    ]
  })
}

/** Names and numbers only: what a colleague may see. */
export const findSummaries = async (ctx: Context, ids: number[]) =>
  (await find(ctx, ids)).map(({ id, username }) => ({ id, username }))

/** Those of the users that work can be given to: the active ones, in the order asked for. */
export async function findActive(ctx: Context, ids: number[]): Promise<number[]> {
  const active = new Set(
    (await find(ctx, ids)).filter(({ status }) => status === 'active').map(({ id }) => id)
  )
  return ids.filter(id => active.has(id))
}

/** Runs `work` unless it would leave the organisation without an active admin; one such change at a time. Errors: 409. */
async function keepingAnAdmin<T>(ctx: Context, work: (ctx: Context) => Promise<T>): Promise<T> {
  return await ctx.transaction(async ctx => {
    await soon(
      ctx.connection`select pg_advisory_xact_lock(hashtextextended('admins', ${ctx.organization_id}))`
    )
    const done = await work(ctx)
    const [admin] = await rowsOf(
      ctx.connection,
      build
        .select({ id: users.id })
        .from(users)
        .where(
          sql`${users.organization_id} = ${ctx.organization_id} and ${users.role} = 'admin' and ${users.status} = 'active' and ${users.deleted_at} is null`
        )
        .limit(1)
    )
    if (!admin) throw conflict('An organisation needs an active admin, and this is the last one.')
    return done
  })
}
