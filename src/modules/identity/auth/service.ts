import { createHash, randomBytes } from 'node:crypto'
import type { Context, Services, Principal } from '../../../core/access/context.ts'
import { begin, soon, type Connection } from '../../../core/db/database.ts'
import { ruleBroken, unauthenticated } from '../../../core/errors.ts'
import { refuseCommon } from '../../../core/access/passwords.ts'
import { changePasswordOf } from '../users/service.ts'
import { countAttempt, forgive, sweep } from './throttle.ts'
import type { Role } from '../../../core/access/permissions.ts'

export interface Me {
  id: number
  username: string
  role: Role
}
/** A login: who, and the refresh token that goes with it. The access token is made of it by the routes. */
export interface Login {
  session_id: number
  refresh_token: string
  user: Me
}

/** How long an access token is good for, in seconds. */
export const tokenLifetime = 15 * 60
/** A session ends when it has not been refreshed for so many days. */
const sessionDays = 30
/** For so long a refresh token may be used twice: by a client whose answer got lost, or by two tabs. Seconds. */
const grace = 10

const hashOf = (token: string) => createHash('sha256').update(token).digest('hex')
const newToken = () => randomBytes(32).toString('base64url')
const wrong = () => unauthenticated('User name or password are wrong.')
const over = () => unauthenticated('This session is over. Log in again.', 'session_ended')

/** Somebody whose password was verified, and which one that was. */
interface Verified {
  organization_id: number
  id: number
  password_hash: string
}

/** Logs in by user name or e-mail. Errors: 401, the same for an unknown user and a wrong password; 429; 503. */
export async function login(
  services: Services,
  username: string,
  password: string,
  address: string
): Promise<Login> {
  const [user] = await soon(services.database.point<Verified[]>`
    select organization_id, id, password_hash from users
    where (lower(username) = lower(${username}) or lower(email) = lower(${username})) and deleted_at is null and status = 'active'`)
  await countAttempt(services, user?.id ?? username, address)
  await sweep(services)
  if (!(await services.passwords.verify(password, user?.password_hash)) || !user) throw wrong()
  await forgive(services, user.id, address)
  return await startSession(services, user)
}

/**
 * Starts a session. The lock waits for a new password or a disabling that is being written, and makes a later one wait, so
 * that this session is among those it ends. Errors: 401 when the user is no longer the one who was verified.
 */
async function startSession(
  services: Services,
  { organization_id, id, password_hash }: Verified
): Promise<Login> {
  const refresh_token = newToken()
  const [started] = await soon(services.database.pool<
    { session_id: number; username: string; role: Role }[]
  >`
    with owner as (
      select organization_id, id, username, role from users
      where organization_id = ${organization_id} and id = ${id} and password_hash = ${password_hash} and status = 'active' and deleted_at is null
      for share
    ), session as (
      insert into sessions (organization_id, user_id, expires_at)
      select organization_id, id, now() + ${sessionDays} * interval '1 day' from owner returning id
    ), token as (insert into refresh_tokens (hash, session_id) select ${hashOf(refresh_token)}, id from session)
    select session.id as session_id, username, role from session, owner`)
  if (!started) throw wrong()
  return {
    session_id: started.session_id,
    refresh_token,
    user: { id, username: started.username, role: started.role }
  }
}

/**
 * Exchanges a refresh token for the next one. A token used again after its grace is in two hands: the whole session ends.
 * Errors: 401.
 */
export async function refresh(services: Services, refresh_token: string): Promise<Login> {
  const next = newToken()
  const outcome = await begin(services.database.pool, async sql => {
    const [token] = await soon(sql<{ session_id: number; reused: boolean }[]>`
      update refresh_tokens set used_at = coalesce(used_at, now()) where hash = ${hashOf(refresh_token)}
      returning session_id, used_at < now() - ${grace} * interval '1 second' as reused`)
    if (!token) return undefined
    const user = await sessionUser(sql, token.session_id)
    if (token.reused && user)
      await sql`update sessions set revoked_at = now() where id = ${token.session_id}`
    if (token.reused || !user) return { session_id: token.session_id, ended: true as const }
    await sql`insert into refresh_tokens (hash, session_id) values (${hashOf(next)}, ${token.session_id})`
    await sql`update sessions set expires_at = now() + ${sessionDays} * interval '1 day' where id = ${token.session_id}`
    return { session_id: token.session_id, user }
  })
  if (!outcome) throw unauthenticated('This refresh token is not known.', 'token_invalid')
  if ('ended' in outcome) {
    await services.cache.invalidate([`session/${outcome.session_id}`])
    throw over()
  }
  const { user_id: id, username, role } = outcome.user
  return { session_id: outcome.session_id, refresh_token: next, user: { id, username, role } }
}

interface SessionUser {
  organization_id: number
  user_id: number
  username: string
  role: Role
}

/** The user of a session that lives, if user and session do. */
async function sessionUser(sql: Connection, session_id: number): Promise<SessionUser | undefined> {
  const [found] = await soon(sql<SessionUser[]>`
    select s.organization_id, s.user_id, u.username, u.role
    from sessions s join users u on u.organization_id = s.organization_id and u.id = s.user_id
    where s.id = ${session_id} and s.revoked_at is null and s.expires_at > now() and u.deleted_at is null and u.status = 'active'`)
  return found
}

/** Who a session speaks for; undefined when it is over. */
export async function principalOf(
  services: Services,
  session_id: number
): Promise<Principal | undefined> {
  const found = await sessionUser(services.database.point, session_id)
  return (
    found && {
      organization_id: found.organization_id,
      user_id: found.user_id,
      role: found.role,
      session_id
    }
  )
}

/** Who is logged in. */
export async function me(ctx: Context): Promise<Me> {
  const user = await sessionUser(ctx.point, ctx.principal.session_id!)
  if (!user) throw over()
  return { id: user.user_id, username: user.username, role: user.role }
}

/** Ends the session: its access and refresh tokens are refused from the next request on. */
export async function logout(ctx: Context): Promise<void> {
  const { session_id } = ctx.principal
  await ctx.changing(
    [`session/${session_id}`],
    ctx.connection`update sessions set revoked_at = now() where id = ${session_id} and revoked_at is null`
  )
}

/**
 * Changes one's own password and ends all of one's sessions, or whoever has stolen one would stay; gives a new one instead.
 * Errors: 422 for a wrong old or a poor new password, 429, 401 when somebody else has changed it meanwhile.
 */
export async function changePassword(
  ctx: Context,
  current: string,
  next: string,
  address: string
): Promise<Login> {
  const { id } = await me(ctx)
  await countAttempt(ctx.services, id, address)
  const [user] = await soon(ctx.point<{ password_hash: string }[]>`
    select password_hash from users where organization_id = ${ctx.organization_id} and id = ${id}`)
  if (!(await ctx.services.passwords.verify(current, user?.password_hash)) || !user)
    throw ruleBroken('current_password', 'This is not your password.')
  await forgive(ctx.services, id, address)
  await refuseCommon(next, 'new_password')
  const password_hash = await changePasswordOf(ctx, id, next, user.password_hash)
  if (password_hash === undefined) throw over()
  return await startSession(ctx.services, { organization_id: ctx.organization_id, id, password_hash })
}
