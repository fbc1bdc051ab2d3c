import type { Static } from '@sinclair/typebox'
import { LRUCache } from 'lru-cache'
import { createHmac } from 'node:crypto'
import { Context } from '../../../core/access/context.ts'
import type { Origin, Principal } from '../../../core/access/principal.ts'
import type { Services } from '../../../core/services.ts'
import { assertNotOwnName, assertUncommon } from '../../../core/access/passwords.ts'
import { Access, type Grant, type Scope } from '../../../core/access/permissions.ts'
import { hashOf, newToken } from '../../../core/access/tokens.ts'
import type { Connection } from '../../../core/db/connections.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { begin, rowsOf } from '../../../core/db/sql.ts'
import { unauthenticated } from '../../../core/errors.ts'
import { cleanName } from '../../../core/names.ts'
import { parseToken } from '../api-tokens/secret.ts'
import { organizationService } from '../organizations/service.ts'
import { roleService } from '../roles/service.ts'
import { userService } from '../users/service.ts'
import {
  extendSession,
  findCandidates,
  findSessionUser,
  findToken,
  findTokenOfJob,
  findUser,
  insertSession,
  recordFailures,
  revokeReused,
  stepUpSession,
  type Beginning,
  type Identity,
  type VerifiedUser,
  type TokenIdentity
} from './queries.ts'
import type { Credentials, Me, StepUp } from './schema.ts'
import { endSessions } from './sessions.ts'
import { refreshTokens } from './table.ts'
import { settle } from './throttle.ts'
import {
  onlyMatch,
  requireCode,
  requireMore,
  verifyOwnPassword,
  withPassword
} from './verification.ts'

/** A login: who, and its refresh token. The routes sign the access token. */
export interface Login {
  session_id: number
  refresh_token: string
  user: { id: number; username: string; role: string }
}

/** Lifetime of an access token, in seconds. */
export const tokenLifetime = 15 * 60
/** Milliseconds for which a login or a step-up allows what requires one. */
const stepUpTime = 10 * 60_000
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
   * is the password. Errors: 401, the same for an unknown user and a wrong password, and, after the
   * right one, without a correct code of the second factor; 409 when it is the password in several
   * organizations; 403 when the user has to sign in with an identity provider; 429; 503.
   */
  async login(
    services: Services,
    { username, password, code, organization }: Static<typeof Credentials>,
    origin: Origin
  ): Promise<Login> {
    const candidates = await findCandidates(services, username, organization ?? null)
    const { address } = origin
    const sent = { username: cleanName(username), password, address }
    const match = await onlyMatch(services, await withPassword(services, candidates, sent))
    if (!match) {
      await recordFailures(services, candidates, origin)
      throw wrongCredentials()
    }
    const { user } = match
    const { organization_id, id } = user
    const ctx = Context.system(services, organization_id, id, origin)
    await requireMore(ctx, match, code)
    const password_hash = (await services.passwords.isOutdated(password, user.password_hash))
      ? await userService.rehash(ctx, id, password, user.password_hash)
      : user.password_hash
    const login = await startSession(services, { organization_id, id, password_hash }, origin)
    if (!login) throw wrongCredentials()
    return login
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
    if (!user) return undefined
    const { must_enroll, stepped_up_at } = user
    const stepped_up_until = Date.parse(stepped_up_at) + stepUpTime
    return { ...principalFor(user, session_id), must_enroll, stepped_up_until }
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

  /**
   * The author of work that `system` does, a user or an API token, with their present rights;
   * undefined for one that is no longer active, or lacks the permission.
   */
  async contextOfAuthor(
    { services, organization_id, origin }: Context,
    author: Author,
    permission: string
  ): Promise<Context | undefined> {
    const principal = await principalOfAuthor(services, organization_id, author)
    const ctx = principal && new Context(services, principal, { origin })
    return ctx?.can(permission) ? ctx : undefined
  },

  /** Who an API token acts for; undefined for one that does not work. */
  async findToken(services: Services, token: string): Promise<TokenLogin | undefined> {
    const parsed = parseToken(token)
    const found = parsed && (await findToken(services, parsed.id, hashOf(parsed.secret)))
    if (!found) return undefined
    const { allowed_networks, expires_at } = found
    return { principal: principalOfToken(found), allowed_networks, expires_at }
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
    await endSessions(ctx, ctx.user_id!, { only: ctx.principal.session_id })
  },

  /**
   * Has the user prove who they are, for what requires that. Returns until when it counts. Errors:
   * 422 for a wrong password, or without a correct code of the second factor; 429.
   */
  async stepUp(
    ctx: Context,
    { password, code }: Static<typeof StepUp>,
    { address }: Origin
  ): Promise<{ valid_until: string }> {
    const { services, principal } = ctx
    const { user, attempt } = await verifyOwnPassword(ctx, password, address, 'password')
    if (user.has_second_factor) await requireCode(ctx, attempt, code, 422)
    else await settle(services, attempt, 'correct')
    const session_id = principal.session_id!
    const [session] = await ctx.write<{ stepped_up_at: string }>(
      [`session/${session_id}`],
      stepUpSession(session_id)
    )
    if (!session) throw sessionEnded()
    const until = Date.parse(session.stepped_up_at) + stepUpTime
    return { valid_until: new Date(until).toISOString() }
  },

  /**
   * Changes one's own password and ends all of one's sessions, since one of them may be stolen;
   * returns a new one, which is no step-up. Errors: 422 for a wrong current or an unacceptable new
   * password, 429, 401 when the password was changed concurrently.
   */
  async changePassword(
    ctx: Context,
    current: string,
    next: string,
    origin: Origin
  ): Promise<Login> {
    const { services, organization_id } = ctx
    const id = ctx.user_id!
    const { address } = origin
    const { user, attempt } = await verifyOwnPassword(ctx, current, address, 'current_password')
    // a password alone is no license to guess codes
    await settle(services, attempt, user.has_second_factor ? 'incomplete' : 'correct')
    await assertUncommon(next, 'new_password')
    assertNotOwnName(next, [user.username, user.email], 'new_password')
    const password_hash = await userService.changePassword(ctx, id, next, user.password_hash)
    if (password_hash === undefined) throw sessionEnded()
    const credentials = { organization_id, id, password_hash }
    const { session_id: replaced } = ctx.principal
    const login = await startSession(services, credentials, origin, { replaced })
    if (!login) throw sessionEnded()
    return login
  }
}

/** Who work is done for later: a user, or an API token of theirs. */
interface Author {
  user_id: number
  api_token_id?: number
}

async function principalOfAuthor(
  services: Services,
  organization_id: number,
  { user_id, api_token_id }: Author
): Promise<Principal | undefined> {
  if (api_token_id === undefined)
    return await authService.principalOfUser(services, organization_id, user_id)
  const token = await findTokenOfJob(services, organization_id, api_token_id)
  return token && principalOfToken(token)
}

/** An API token that was sent: where it works from, and until when, if not forever. */
function principalOfToken(token: TokenIdentity): Principal {
  const { scopes, risk, token_id: id, require_plan, rate_limit } = token
  return {
    ...principalFor(token, null, { scopes, risk }),
    token: { id, require_plan, rate_limit }
  }
}

interface TokenLogin {
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
 * Starts a session of a user whose credentials were verified; undefined when the password or the
 * status has changed meanwhile.
 */
export async function startSession(
  services: Services,
  user: VerifiedUser,
  origin: Origin,
  beginning: Beginning = {}
): Promise<Login | undefined> {
  const refresh_token = newToken()
  const { database } = services
  const [started] = await rowsOf<{ session_id: number; username: string; role: string }>(
    database,
    database.pool,
    insertSession(user, hashOf(refresh_token), origin, beginning)
  )
  if (!started) return undefined
  const { session_id, username, role } = started
  return { session_id, refresh_token, user: { id: user.id, username, role } }
}

/** The session of a refresh token: without a user it has ended, perhaps just now. */
interface Refreshed {
  session_id: number
  user: Identity | undefined
}

/** Marks a refresh token as used and adds its successor. */
async function rotate(
  services: Services,
  connection: Connection,
  { used, next, origin }: { used: string; next: string; origin: Origin }
): Promise<Refreshed | undefined> {
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
    if (user) await run(revokeReused(session_id, origin))
    return { session_id, user: undefined }
  }
  await run(sql`insert into ${refreshTokens} (hash, session_id) values (${next}, ${session_id})
    on conflict do nothing`)
  await run(extendSession(session_id, origin))
  return { session_id, user }
}
