import type { Static } from '@sinclair/typebox'
import { sql } from '../../kit/drizzle.ts'
import { collection, type Versions } from '../../kit/collection.ts'
import type { Context } from '../../kit/context.ts'
import { build, rowsOf } from '../../kit/database.ts'
import { conflict } from '../../kit/errors.ts'
import { refuseCommon } from '../../kit/passwords.ts'
import type { NewUser, UserChanges } from './schema.ts'
import { users } from './table.ts'

const { create: insert, update: change, remove: removeAny, find, ...rest } = collection('user', users)
export const { list, stream, get, restore, history, cacheKey } = rest

/** Makes a user. Errors: 409 for a name or e-mail that is taken, 422 for a password that everybody knows. */
export async function create (ctx: Context, { password, ...user }: Static<typeof NewUser>) {
  await refuseCommon(password, 'password')
  return await insert(ctx, { ...user, password_hash: await ctx.house.passwords.hash(password) })
}

/** The user an installation begins with; its password is the operator's choice. */
export const createFirst = async (ctx: Context, { password, ...user }: Static<typeof NewUser>) =>
  await insert(ctx, { ...user, password_hash: await ctx.house.passwords.hash(password) })

/** Changes a user; whose password changes is logged out everywhere. Errors: 409 when no admin would be left. */
export async function update (ctx: Context, id: number, { password, ...changes }: Static<typeof UserChanges>, versions?: Versions) {
  if (password === undefined) return await keepingAnAdmin(ctx, async ctx => await change(ctx, id, changes, versions))
  await refuseCommon(password, 'password')
  const password_hash = await ctx.house.passwords.hash(password)
  return await keepingAnAdmin(ctx, async ctx => {
    const user = await change(ctx, id, { ...changes, password_hash }, versions)
    await endSessions(ctx, id, null)
    return user
  })
}

/** Changes a password that its owner has proven to know, and ends the other sessions. */
export async function changePasswordOf (ctx: Context, id: number, password: string, keeping_session: number | null): Promise<void> {
  const password_hash = await ctx.house.passwords.hash(password)
  await ctx.transaction(async ctx => {
    await change(ctx, id, { password_hash })
    await endSessions(ctx, id, keeping_session)
  })
}

async function endSessions (ctx: Context, user_id: number, keeping: number | null): Promise<void> {
  const ended = await ctx.connection<{ id: number }[]>`
    update sessions set revoked_at = now() where organization_id = ${ctx.organization_id} and user_id = ${user_id}
    and revoked_at is null and id is distinct from ${keeping}::bigint returning id`
  for (const { id } of ended) await ctx.changed(`session/${id}`)
}

/** Errors: 409 when no admin would be left. */
export const remove = async (ctx: Context, id: number, versions?: Versions) =>
  await keepingAnAdmin(ctx, async ctx => { await removeAny(ctx, id, versions) })

/** Names and numbers only: what a colleague may see. */
export const findSummaries = async (ctx: Context, ids: number[]) => (await find(ctx, ids)).map(({ id, username }) => ({ id, username }))

/** Runs `work` unless it would leave the organisation without an active admin; one such change at a time. Errors: 409. */
async function keepingAnAdmin<T> (ctx: Context, work: (ctx: Context) => Promise<T>): Promise<T> {
  return await ctx.transaction(async ctx => {
    await ctx.connection`select pg_advisory_xact_lock(hashtextextended('admins', ${ctx.organization_id}))`
    const done = await work(ctx)
    const [admin] = await rowsOf(ctx.connection, build.select({ id: users.id }).from(users)
      .where(sql`${users.organization_id} = ${ctx.organization_id} and ${users.role} = 'admin' and ${users.status} = 'active' and ${users.deleted_at} is null`).limit(1))
    if (!admin) throw conflict('An organisation needs an active admin, and this is the last one.')
    return done
  })
}
