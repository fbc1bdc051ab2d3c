import type { Static } from '@sinclair/typebox'
import { LRUCache } from 'lru-cache'
import { createHmac } from 'node:crypto'
import type { Context, Principal, Services } from '../../../core/access/context.ts'
import { assertNotOwnName, assertUncommon } from '../../../core/access/passwords.ts'
import { Access, type Grant, type Scope } from '../../../core/access/permissions.ts'
import { hashOf, newToken } from '../../../core/access/tokens.ts'
import type { Connection } from '../../../core/db/connections.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { begin, oursWithDeleted, rowsOf } from '../../../core/db/sql.ts'
import {
  organizationRequired,
  Problem,
  ruleBroken,
  signInEnforced,
  unauthenticated
} from '../../../core/errors.ts'
import { parseToken } from '../api-tokens/secret.ts'
import { organizationService } from '../organizations/service.ts'
import { roleService } from '../roles/service.ts'
import { userService } from '../users/service.ts'
import { users } from '../users/table.ts'
import {
  findCandidates,
  findSessionUser,
  findToken,
  findUser,
  insertSession,
  type Candidate,
  type Credentials,
  type Identity,
  type Origin
} from './queries.ts'
import type { Credentials as LoginRequest, Me } from './schema.ts'
import { refreshTokens, sessions } from './table.ts'
import { countAttempt, removeExpired, settle } from './throttle.ts'

/** A login: who, and its refresh token. The routes sign the access token. */
export interface Login {
  session_id: number
  refresh_token: string
  user: { id: number; username: string; role: string }
}

/** Lifetime of an access token, in seconds. */
export const tokenLifetime = 15 * 60
/** Days without a refresh after which a session ends. */
const sessionDays = 30
/**
 * Seconds for which a refresh token can be used a second time: by a client whose response was
 * lost, or by two tabs.
 */
const reuseGrace = 10

/** Always the same one, so that all who use a token at once continue with one successor. */
const successorOf = ({ keyFor }: Services, token: string) =>
  createHmac('sha256', keyFor('refresh tokens')).update(token).digest('base64url')
const wrongCredentials = () => unauthenticated('The username or password is incorrect.')
const sessionEnded = () => unauthenticated('The session has ended. Log in again.', 'session_ended')

export const authService = {
  /**
   * Logs in by username or email, in an organization or, without one, in the only one where this
   * is the password. Errors: 401, the same for an unknown user and a wrong password; 409 when it is
   * the password in several organizations; 403 when it is correct, but the user has to sign in by
   * an identity provider; 429; 503.
   */
  async login(
    services: Services,
    { username, password, organization }: Static<typeof LoginRequest>,
    origin: Origin
  ): Promise<Login> {
    const candidates = await findCandidates(services, username, organization ?? null)
    await removeExpired(services)
    const { address } = origin
    const [user, ...others] = await withPassword(services, candidates, {
      username,
      password,
      address
    })
    if (!user) throw wrongCredentials()
    if (others.length > 0)
      throw organizationRequired([user, ...others].map(({ organization }) => organization))
    if (user.must_sign_in) throw signInEnforced()
    return await startSession(services, user, origin)
  },

  /**
   * Exchanges a refresh token for the next one, always the same. A token that is used again after
   * its grace period may be in two hands: the whole session ends. Errors: 401.
   */
  async refresh(services: Services, refresh_token: string, origin: Origin): Promise<Login> {
    const next = successorOf(services, refresh_token)
    const { database, cache } = services
    const outcome = await begin(
      database,
      async connection =>
        await rotate(services, connection, {
          used: hashOf(refresh_token),
          next: hashOf(next),
          origin
        })
    )
    if (!outcome) throw unauthenticated('The refresh token is unknown.', 'token_invalid')
    const { session_id, user } = outcome
    if (!user) {
      await cache.invalidate([`session/${session_id}`])
      throw sessionEnded()
    }
    const { user_id: id, username, role } = user
    return { session_id, refresh_token: next, user: { id, username, role } }
  },

  /** Who a session belongs to; undefined when it has ended. */
  async principalOf(services: Services, session_id: number): Promise<Principal | undefined> {
    const user = await findSessionUser(services, services.database.point, session_id)
    return user && principalFor(user, session_id)
  },

  /** A user without a session, for work in their name; undefined for one who is not active. */
  async principalOfUser(
    services: Services,
    organization_id: number,
    user_id: number
  ): Promise<Principal | undefined> {
    const user = await findUser(services, organization_id, user_id)
    return user && principalFor(user, null)
  },

  /** Who an API token acts for; undefined for one that does not work. */
  async findToken(services: Services, token: string): Promise<TokenLogin | undefined> {
    const parsed = parseToken(token)
    const found = parsed && (await findToken(services, parsed.id, hashOf(parsed.secret)))
    if (!found) return undefined
    const { scopes, risk, token_id, rate_limit, allowed_networks, expires_at } = found
    const principal = principalFor(found, null, { scopes, risk })
    return {
      principal: { ...principal, token: { id: token_id, rate_limit } },
      allowed_networks,
      expires_at
    }
  },

  /** The user who is logged in. Errors: 401. */
  async me(ctx: Context): Promise<Static<typeof Me>> {
    const { services, principal } = ctx
    const { point } = services.database
    const session = await findSessionUser(services, point, principal.session_id!)
    if (!session) throw sessionEnded()
    const { user_id, role } = session
    const [user, organization] = await Promise.all([
      userService.get(ctx, user_id),
      organizationService.summary(ctx)
    ])
    const { id, username, email, first_name, last_name, time_zone, role_ids } = user
    const roles = (await roleService.findInOrder(ctx, role_ids)).map(({ id, name }) => ({
      id,
      name
    }))
    const permissions = principal.access.permissions()
    const names = { username, email, first_name, last_name }
    return { id, ...names, time_zone, role, organization, roles, permissions }
  },

  /** Ends the session: its access and refresh tokens are refused from the next request on. */
  async logout(ctx: Context): Promise<void> {
    const { session_id } = ctx.principal
    await ctx.write(
      [`session/${session_id}`],
      sql`update ${sessions} set revoked_at = now() where id = ${session_id} and revoked_at is null`
    )
  },

  /**
   * Changes one's own password and ends all of one's sessions, since one of them may be stolen;
   * returns a new one. Errors: 422 for a wrong current or an unacceptable new password, 429, 401
   * when the password was changed concurrently.
   */
  async changePassword(
    ctx: Context,
    current: string,
    next: string,
    origin: Origin
  ): Promise<Login> {
    const { services, organization_id } = ctx
    const { id } = await authService.me(ctx)
    const attempt = await countAttempt(services, id, origin.address)
    const [user] = await ctx.read<{ username: string; email: string; password_hash: string }>(
      sql`select username, email, password_hash from ${oursWithDeleted(users)} where id = ${id}`
    )
    const isCorrect = await services.passwords.verify(current, user?.password_hash)
    await settle(services, attempt, isCorrect)
    if (!isCorrect || !user)
      throw ruleBroken('current_password', 'The current password is incorrect.', {
        rule: 'current_password'
      })
    await assertUncommon(next, 'new_password')
    assertNotOwnName(next, [user.username, user.email], 'new_password')
    const password_hash = await userService.changePassword(ctx, id, next, user.password_hash)
    if (password_hash === undefined) throw sessionEnded()
    return await startSession(services, { organization_id, id, password_hash }, origin)
  }
}

/** An API token that was sent: where it works from, and until when, if not forever. */
export interface TokenLogin {
  principal: Principal
  allowed_networks: string[]
  expires_at: string | null
}

/** By the JSON of their grants: users with equal roles share what is derived from these. */
const knownAccess = new LRUCache<string, Access>({ max: 1000 })

function accessOf(grants: Grant[], scope?: Scope): Access {
  const key = JSON.stringify([grants, scope])
  const access = knownAccess.get(key) ?? new Access(grants, scope)
  knownAccess.set(key, access)
  return access
}

const principalFor = (
  { organization_id, user_id, grants, team_ids, colleague_ids, time_zone }: Identity,
  session_id: number | null,
  scope?: Scope
): Principal => ({
  organization_id,
  user_id,
  access: accessOf(grants.flat(), scope),
  team_ids,
  colleague_ids,
  session_id,
  time_zone
})

/**
 * Those of the candidates whose password this is. One password is verified even if there is nobody,
 * so that the time does not tell. Errors: 429 when attempts were refused and no other one is
 * correct.
 */
async function withPassword(
  services: Services,
  candidates: Candidate[],
  { username, password, address }: { username: string; password: string; address: string }
): Promise<Candidate[]> {
  const matching: Candidate[] = []
  const refusals: Problem[] = []
  for (const candidate of candidates.length > 0 ? candidates : [undefined]) {
    try {
      const attempt = await countAttempt(services, candidate?.id ?? username, address)
      const isCorrect = await services.passwords.verify(password, candidate?.password_hash)
      await settle(services, attempt, isCorrect)
      if (candidate && isCorrect) matching.push(candidate)
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 429) throw error
      refusals.push(error)
    }
  }
  if (matching.length === 0 && refusals.length > 0) throw refusals[0]!
  return matching
}

/**
 * Starts a session of a user whose credentials were verified. Errors: 401 when the password or the
 * status has changed meanwhile.
 */
export async function startSession(
  services: Services,
  user: Credentials,
  origin: Origin
): Promise<Login> {
  const refresh_token = newToken()
  const { database } = services
  const [started] = await rowsOf<{ session_id: number; username: string; role: string }>(
    database,
    database.pool,
    insertSession(user, hashOf(refresh_token), sessionDays, origin)
  )
  if (!started) throw wrongCredentials()
  const { session_id, username, role } = started
  return { session_id, refresh_token, user: { id: user.id, username, role } }
}

/** Marks a refresh token as used and adds its successor; without a user the session has ended. */
async function rotate(
  services: Services,
  connection: Connection,
  { used, next, origin }: { used: string; next: string; origin: Origin }
): Promise<{ session_id: number; user: Awaited<ReturnType<typeof findSessionUser>> } | undefined> {
  const { database } = services
  const [token] = await rowsOf<{ session_id: number; reused: boolean }>(
    database,
    connection,
    sql`update ${refreshTokens} set used_at = coalesce(used_at, now()) where hash = ${used}
      returning session_id, used_at < now() - ${reuseGrace} * interval '1 second' as reused`
  )
  if (!token) return undefined
  const { session_id, reused } = token
  const run = async (query: ReturnType<typeof sql>) => await rowsOf(database, connection, query)
  const user = await findSessionUser(services, connection, session_id)
  if (reused || !user) {
    if (user) await run(sql`update ${sessions} set revoked_at = now() where id = ${session_id}`)
    return { session_id, user: undefined }
  }
  await run(sql`insert into ${refreshTokens} (hash, session_id) values (${next}, ${session_id})
    on conflict do nothing`)
  await run(sql`update ${sessions} set expires_at = now() + ${sessionDays} * interval '1 day',
    last_used_at = now(), address = ${origin.address}, client = ${origin.client}
    where id = ${session_id}`)
  return { session_id, user }
}
