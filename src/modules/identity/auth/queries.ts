import type { SQL } from 'drizzle-orm'
import type { Origin } from '../../../core/access/principal.ts'
import type { Services } from '../../../core/services.ts'
import type { Grant, Risk } from '../../../core/access/permissions.ts'
import type { Connection } from '../../../core/db/connections.ts'
import { sql } from '../../../core/db/drizzle.ts'
import {
  acrossOrganizations,
  actor,
  organization,
  ours,
  oursWithDeleted,
  rowsOf
} from '../../../core/db/sql.ts'
import { cleanName } from '../../../core/names.ts'
import { teams } from '../../automation/teams/table.ts'
import { apiTokens } from '../api-tokens/table.ts'
import { mustSignIn } from '../identity-providers/queries.ts'
import { organizations } from '../organizations/table.ts'
import { roles } from '../roles/table.ts'
import { users } from '../users/table.ts'
import { refreshTokens, sessions } from './table.ts'

// There is no context before a login: these queries find out the organization.

/** A user and the hash of the password that is, or was verified to be, the user's. */
export interface VerifiedUser {
  organization_id: number
  id: number
  password_hash: string
}

/** Someone who may be logging in. */
export interface Candidate extends VerifiedUser {
  /** The slug of the organization. */
  organization: string
  has_second_factor: boolean
  /** Whether only a sign-in with an identity provider is accepted. */
  must_sign_in: boolean
}

const hasSecondFactor = sql`u.second_factor_since is not null as has_second_factor`

/** The caller, as far as a new proof of who they are needs to know. */
export interface OwnPassword {
  username: string
  email: string
  password_hash: string
  has_second_factor: boolean
}

export const ownPassword = sql`select username, email, password_hash, ${hasSecondFactor}
  from ${oursWithDeleted(users, 'u')} where id = ${actor}`

/** At most so many users of one name are told apart by their password. */
const maxCandidates = 5

/**
 * The active users of a username or email: in the organization of a slug, or the first few in all
 * of them. A name from before names were cleaned is found as it is.
 */
export const findCandidates = async (
  { database }: Services,
  username: string,
  slug: string | null
): Promise<Candidate[]> =>
  await rowsOf<Candidate>(
    database,
    database.point,
    sql`select u.organization_id, u.id, u.password_hash, o.slug as organization,
        ${hasSecondFactor}, ${mustSignIn(sql`u`)} as must_sign_in
      from ${acrossOrganizations(users)} u join ${organizations} o on o.id = u.organization_id
      where (lower(u.username) in (lower(${username}), lower(${cleanName(username)}))
          or email_key(u.email) in (email_key(${username}), email_key(${cleanName(username)})))
        and u.deleted_at is null and u.status = 'active' and u.kind = 'person'
        and o.slug = coalesce(${slug}, o.slug)
      order by u.organization_id, u.id limit ${maxCandidates}`
  )

/** Of the organization `o`: how long a session lasts without a refresh, and after its login. */
const idleDays = sql`o.session_idle_days * interval '1 day'`
const absoluteDays = sql`o.session_absolute_days * interval '1 day'`

/**
 * When a session ends unless it is refreshed: as was set at its last use, or sooner if the limits
 * of the organization `o` have become shorter since.
 */
const end = sql`least(sessions.expires_at, sessions.last_used_at + ${idleDays},
  sessions.created_at + ${absoluteDays})`

export interface Beginning {
  /** The session whose step-up it takes over; by default, it begins with one. */
  replaced?: number | null
  /** The identity provider that says who the user is. */
  provider_id?: number | null
}

/**
 * Adds a session with its first refresh token, and returns it with its user. The lock waits for a
 * password change or a deactivation that is being written, and makes a later one wait, so that
 * this session is among those it ends. The login is in the event log.
 */
export const insertSession = (
  { organization_id, id, password_hash }: VerifiedUser,
  token_hash: string,
  { request_id, address, client }: Origin,
  { replaced = null, provider_id = null }: Beginning
): SQL => sql`
  with replaced as (
    select stepped_up_at, by_provider from ${sessions} where id = ${replaced}
  ), owner as (
    select organization_id, id, username, role from ${acrossOrganizations(users)}
    where organization_id = ${organization_id} and id = ${id} and password_hash = ${password_hash}
      and status = 'active' and deleted_at is null
    for share
  ), session as (
    insert into ${sessions} (organization_id, user_id, expires_at, address, client, by_provider,
      stepped_up_at)
    select organization_id, owner.id, now() + ${idleDays}, ${address}, ${client},
      ${provider_id !== null} or coalesce(replaced.by_provider, false),
      coalesce(replaced.stepped_up_at, now())
    from owner join ${organizations} o on o.id = organization_id left join replaced on true
    returning sessions.id
  ), token as (
    insert into ${refreshTokens} (hash, session_id) select ${token_hash}, id from session
  )
  select session.id as session_id, username, role,
    record_access(organization_id, 'login.succeeded', 'user', owner.id, owner.id,
      jsonb_build_object('request_id', ${request_id}::text, 'address', ${address}::text,
        'session_id', session.id),
      jsonb_build_object('client', ${client}::text, 'provider_id', ${provider_id}::bigint))
  from session, owner`

/**
 * Records that a password was wrong for these users; without where it came from if they are of
 * several organizations, of which only one may know it. It is one statement also for nobody, so
 * that the time of the response does not tell whether there is a user.
 */
export async function recordFailures(
  { database }: Services,
  tried: Candidate[],
  origin: Origin
): Promise<void> {
  const organization_ids = tried.map(({ organization_id }) => organization_id)
  const user_ids = tried.map(({ id }) => id)
  const isOfOne = new Set(organization_ids).size <= 1
  const { request_id = null, address = null, client = null } = isOfOne ? origin : {}
  await rowsOf(
    database,
    database.pool,
    sql`select record_access(organization_id, 'login.failed', 'user', user_id, null,
        jsonb_build_object('request_id', ${request_id}::text, 'address', ${address}::text),
        jsonb_build_object('client', ${client}::text, 'reason', 'password'))
      from unnest(${sql.param(organization_ids)}::bigint[], ${sql.param(user_ids)}::bigint[])
        as tried (organization_id, user_id)`
  )
}

/** The condition that a session of the organization `o` has not ended; `sessions` is the alias. */
const isOpen = sql`sessions.revoked_at is null and ${end} > now()`

/** Notes a refresh of an open session. */
export const extendSession = (id: number, { address, client }: Origin): SQL => sql`
  update ${sessions} set expires_at = now() + ${idleDays}, last_used_at = now(),
    address = ${address}, client = ${client}
  from ${organizations} o where o.id = sessions.organization_id and sessions.id = ${id}`

/** Ends a session whose refresh token may be in two hands, and records that. */
export const revokeReused = (id: number, { request_id, address, client }: Origin): SQL => sql`
  with ended as (
    update ${sessions} set revoked_at = now() where id = ${id} returning organization_id, user_id
  )
  select record_access(organization_id, 'session.ended', 'user', user_id, user_id,
    jsonb_build_object('request_id', ${request_id}::text, 'address', ${address}::text),
    jsonb_build_object('client', ${client}::text, 'session_ids', jsonb_build_array(${id}::bigint),
      'reason', 'refresh_token_reused'))
  from ended`

/** Notes that the user of a session has proven who they are. Returns the time. */
export const stepUpSession = (id: number): SQL => sql`
  update ${sessions} set stepped_up_at = now() where id = ${id} returning stepped_up_at`

/** A user, and what determines what they may do. */
export interface Identity {
  organization_id: number
  user_id: number
  username: string
  role: string
  /** Of each role. */
  grants: Grant[][]
  team_ids: number[]
  colleague_ids: number[]
  time_zone: string
}

/** What `Identity` has, of the active users `u`: the teams are those below theirs, too. */
const identity = sql`u.organization_id, u.id as user_id, u.username, u.role,
  (select coalesce(jsonb_agg(r.grants), '[]') from ${acrossOrganizations(roles)} r
    where r.organization_id = u.organization_id and r.id = any(u.role_ids)
      and r.deleted_at is null) as grants,
  mine.team_ids, mine.colleague_ids, o.time_zone`
const activeUsers = sql`(select * from ${acrossOrganizations(users)}
    where deleted_at is null and status = 'active') u
  join ${organizations} o on o.id = u.organization_id
  cross join lateral (
    with recursive mine (id, user_ids) as (
      select t.id, t.member_ids || t.leader_id from ${acrossOrganizations(teams)} t
      where t.organization_id = u.organization_id and t.deleted_at is null
        and (u.id = any(t.member_ids) or t.leader_id = u.id)
      union
      select t.id, t.member_ids || t.leader_id
      from ${acrossOrganizations(teams)} t join mine on t.parent_team_id = mine.id
      where t.organization_id = u.organization_id and t.deleted_at is null
    )
    select array(select id from mine) as team_ids,
      array_remove(array(select unnest(user_ids) from mine union select u.id), null)
        as colleague_ids
  ) mine`

/** The user of a session, and what the session allows. */
interface SessionIdentity extends Identity {
  stepped_up_at: string
  /** Whether the organization requires a second factor, and the user has none. */
  must_enroll: boolean
}

/**
 * The user of a session, if neither the session has ended nor the user been disabled or deleted.
 */
export async function findSessionUser(
  { database }: Services,
  connection: Connection,
  session_id: number
): Promise<SessionIdentity | undefined> {
  const [user] = await rowsOf<SessionIdentity>(
    database,
    connection,
    sql`select ${identity}, sessions.stepped_up_at,
        o.second_factor = 'required' and u.second_factor_since is null
          and not sessions.by_provider as must_enroll
      from ${sessions} cross join ${activeUsers}
      where u.organization_id = sessions.organization_id and u.id = sessions.user_id
        and sessions.id = ${session_id} and ${isOpen}`
  )
  return user
}

/** Who an API token acts for, and what it is limited to. */
export interface TokenIdentity extends Identity {
  token_id: number
  scopes: string[]
  risk: Risk
  require_plan: boolean
  rate_limit: number | null
  allowed_networks: string[]
  expires_at: string | null
}

/**
 * The API token for which a condition holds, if it is neither deleted nor expired, nor its user
 * disabled or deleted. Notes that it was used.
 */
async function findWorkingToken(
  { database }: Services,
  condition: SQL
): Promise<TokenIdentity | undefined> {
  const [token] = await rowsOf<TokenIdentity>(
    database,
    database.point,
    sql`select ${identity}, t.id as token_id, t.scopes, t.risk, t.require_plan, t.rate_limit,
        t.allowed_networks, t.expires_at, touch_api_token(t.organization_id, t.id, t.last_used_at)
      from ${acrossOrganizations(apiTokens)} t
      cross join ${activeUsers}
      where u.organization_id = t.organization_id and u.id = t.user_id and ${condition}
        and t.deleted_at is null and (t.expires_at is null or t.expires_at > now())`
  )
  return token
}

/** The API token with this ID and this secret, or an earlier one that is still valid. */
export const findToken = async (
  services: Services,
  id: number,
  hash: string
): Promise<TokenIdentity | undefined> =>
  await findWorkingToken(
    services,
    sql`t.id = ${id}
      and (t.secret_hash = ${hash} or (t.previous_hash = ${hash} and t.previous_until > now()))`
  )

/** The API token with this ID that a job was added with. */
export const findTokenOfJob = async (
  services: Services,
  organization_id: number,
  id: number
): Promise<TokenIdentity | undefined> =>
  await findWorkingToken(services, sql`t.organization_id = ${organization_id} and t.id = ${id}`)

/** An active user. */
export async function findUser(
  { database }: Services,
  organization_id: number,
  user_id: number
): Promise<Identity | undefined> {
  const [user] = await rowsOf<Identity>(
    database,
    database.point,
    sql`select ${identity} from ${activeUsers}
      where u.organization_id = ${organization_id} and u.id = ${user_id}`
  )
  return user
}

/** The open sessions of a user, the last used first. At most a hundred. */
export const openSessions = (user_id: number): SQL => sql`
  select sessions.id, sessions.created_at, last_used_at, address, client, ${end} as expires_at
  from ${ours(sessions)} join ${organizations} o on o.id = organization_id
  where user_id = ${user_id} and ${isOpen} order by last_used_at desc, sessions.id desc limit 100`

/** Sessions of a user: one of them, or all but one; by default, all. */
export interface WhichSessions {
  only?: number | null
  except?: number | null
}

/** Ends open sessions of a user. Returns their IDs. */
export const endOpenSessions = (
  user_id: number,
  { only = null, except = null }: WhichSessions
): SQL => sql`
  update ${sessions} set revoked_at = now() from ${organizations} o
  where o.id = ${organization} and organization_id = ${organization}
    and user_id = ${user_id} and ${isOpen} and sessions.id = coalesce(${only}::bigint, sessions.id)
    and sessions.id is distinct from ${except}::bigint
  returning sessions.id`
