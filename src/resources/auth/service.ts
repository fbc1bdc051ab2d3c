import { createHash, randomBytes } from 'node:crypto'
import type { Context, House, Principal } from '../../kit/context.ts'
import { begin, type Connection } from '../../kit/database.ts'
import { ruleBroken, unauthenticated } from '../../kit/errors.ts'
import { refuseCommon } from '../../kit/passwords.ts'
import { changePasswordOf } from '../users/service.ts'
import { forgive, refuseIfThrottled, remember } from './throttle.ts'
import type { Role } from '../../kit/access.ts'

export interface Me { id: number, username: string, role: Role }
/** A login: who, and the refresh token that goes with it. The access token is made of it by the routes. */
export interface Login { session_id: number, refresh_token: string, user: Me }

/** A session ends when it has not been refreshed for so many days. */
const sessionDays = 30
/** For so long a refresh token may be used twice: by a client whose answer got lost, or by two tabs. Seconds. */
const grace = 10

const hashOf = (token: string) => createHash('sha256').update(token).digest('hex')
const newToken = () => randomBytes(32).toString('base64url')
const wrong = () => unauthenticated('User name or password are wrong.')

/** Logs in by user name or e-mail. Errors: 401, the same for an unknown user and a wrong password; 429; 503. */
export async function login (house: House, username: string, password: string, address: string): Promise<Login> {
  await refuseIfThrottled(house, username, address)
  const user = await house.database.point<(Me & { organization_id: number, password_hash: string })[]>`
    select organization_id, id, username, role, password_hash from users
    where (lower(username) = lower(${username}) or lower(email) = lower(${username})) and deleted_at is null and status = 'active'`.then(rows => rows[0])
  if (!await house.passwords.verify(password, user?.password_hash) || !user) {
    await remember(house, username, address)
    throw wrong()
  }
  await forgive(house, username)
  const refresh_token = newToken()
  const [session] = await house.database.pool<{ id: number }[]>`
    with session as (
      insert into sessions (organization_id, user_id, expires_at)
      values (${user.organization_id}, ${user.id}, now() + ${sessionDays} * interval '1 day') returning id
    ), token as (insert into refresh_tokens (hash, session_id) select ${hashOf(refresh_token)}, id from session)
    select id from session`
  return { session_id: session!.id, refresh_token, user: { id: user.id, username: user.username, role: user.role } }
}

/**
 * Exchanges a refresh token for the next one. A token used again after its grace is in two hands: the whole session ends.
 * Errors: 401.
 */
export async function refresh (house: House, refresh_token: string): Promise<Login> {
  const next = newToken()
  const outcome = await begin(house.database.pool, async sql => {
    const [token] = await sql<{ session_id: number, reused: boolean }[]>`
      update refresh_tokens set used_at = coalesce(used_at, now()) where hash = ${hashOf(refresh_token)}
      returning session_id, used_at < now() - ${grace} * interval '1 second' as reused`
    if (!token) return undefined
    const user = await sessionUser(sql, token.session_id)
    if (token.reused && user) await sql`update sessions set revoked_at = now() where id = ${token.session_id}`
    if (token.reused || !user) return { session_id: token.session_id, ended: true as const }
    await sql`insert into refresh_tokens (hash, session_id) values (${hashOf(next)}, ${token.session_id})`
    await sql`update sessions set expires_at = now() + ${sessionDays} * interval '1 day' where id = ${token.session_id}`
    return { session_id: token.session_id, user }
  })
  if (!outcome) throw unauthenticated('This refresh token is not known.')
  if ('ended' in outcome) {
    await house.cache.invalidate([`session/${outcome.session_id}`])
    throw unauthenticated('This session is over. Log in again.')
  }
  const { user_id: id, username, role } = outcome.user
  return { session_id: outcome.session_id, refresh_token: next, user: { id, username, role } }
}

interface SessionUser { organization_id: number, user_id: number, username: string, role: Role }

/** The user of a session that lives, if user and session do. */
async function sessionUser (sql: Connection, session_id: number): Promise<SessionUser | undefined> {
  const [found] = await sql<SessionUser[]>`
    select s.organization_id, s.user_id, u.username, u.role
    from sessions s join users u on u.organization_id = s.organization_id and u.id = s.user_id
    where s.id = ${session_id} and s.revoked_at is null and s.expires_at > now() and u.deleted_at is null and u.status = 'active'`
  return found
}

/** Who a session speaks for; undefined when it is over. */
export async function principalOf (house: House, session_id: number): Promise<Principal | undefined> {
  const found = await sessionUser(house.database.point, session_id)
  return found && { organization_id: found.organization_id, user_id: found.user_id, role: found.role, session_id }
}

/** Who is logged in. */
export async function me (ctx: Context): Promise<Me> {
  const user = await sessionUser(ctx.point, ctx.principal.session_id!)
  if (!user) throw unauthenticated('The session is over.')
  return { id: user.user_id, username: user.username, role: user.role }
}

/** Ends the session: its access and refresh tokens are refused from the next request on. */
export async function logout (ctx: Context): Promise<void> {
  await ctx.connection`update sessions set revoked_at = now() where id = ${ctx.principal.session_id} and revoked_at is null`
  await ctx.changed(`session/${ctx.principal.session_id}`)
}

/** Changes one's own password and ends one's other sessions. Errors: 422 for a wrong old or a poor new password, 429. */
export async function changePassword (ctx: Context, current: string, next: string, address: string): Promise<void> {
  const { username } = await me(ctx)
  await refuseIfThrottled(ctx.house, username, address)
  const [user] = await ctx.point<{ password_hash: string }[]>`
    select password_hash from users where organization_id = ${ctx.organization_id} and id = ${ctx.user_id}`
  if (!await ctx.house.passwords.verify(current, user?.password_hash)) {
    await remember(ctx.house, username, address)
    throw ruleBroken('current_password', 'This is not your password.')
  }
  await refuseCommon(next, 'new_password')
  await changePasswordOf(ctx, ctx.user_id!, next, ctx.principal.session_id)
}
