import type { SQL } from 'drizzle-orm'
import type { Services } from '../../../core/access/context.ts'
import type { Grant, Risk } from '../../../core/access/permissions.ts'
import type { Connection } from '../../../core/db/connections.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { acrossOrganizations, organization, ours, rowsOf } from '../../../core/db/sql.ts'
import { teams } from '../../automation/teams/table.ts'
import { apiTokens } from '../api-tokens/table.ts'
import { mustSignIn } from '../identity-providers/queries.ts'
import { organizations } from '../organizations/table.ts'
import { roles } from '../roles/table.ts'
import { users } from '../users/table.ts'
import { refreshTokens, sessions } from './table.ts'

// There is no context before a login: these queries find out the organization.

/** Where a login or a refresh comes from: an IP address, and a program as it names itself. */
export interface Origin {
  address: string
  client: string | null
}

/** A user and the hash of the password that is, or was verified to be, the user's. */
export interface Credentials {
  organization_id: number
  id: number
  password_hash: string
}

/** Someone who may be logging in. */
export interface Candidate extends Credentials {
  /** The slug of the organization. */
  organization: string
  /** Whether a password is not enough. */
  must_sign_in: boolean
}

/** At most so many users of one name are told apart by their password. */
const maxCandidates = 5

/**
 * The active users of a username or email: in the organization of a slug, or the first few in all
 * of them.
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
        ${mustSignIn(sql`u`)} as must_sign_in
      from ${acrossOrganizations(users)} u join ${organizations} o on o.id = u.organization_id
      where (lower(u.username) = lower(${username}) or email_key(u.email) = email_key(${username}))
        and u.deleted_at is null and u.status = 'active' and u.kind = 'person'
        and o.slug = coalesce(${slug}, o.slug)
      order by u.organization_id, u.id limit ${maxCandidates}`
  )

/**
 * Adds a session with its first refresh token, and returns it with its user. The lock waits for a
 * password change or a deactivation that is being written, and makes a later one wait, so that
 * this session is among those it ends.
 */
export const insertSession = (
  { organization_id, id, password_hash }: Credentials,
  token_hash: string,
  days: number,
  { address, client }: Origin
): SQL => sql`
  with owner as (
    select organization_id, id, username, role from ${acrossOrganizations(users)}
    where organization_id = ${organization_id} and id = ${id} and password_hash = ${password_hash}
      and status = 'active' and deleted_at is null
    for share
  ), session as (
    insert into ${sessions} (organization_id, user_id, expires_at, address, client)
    select organization_id, id, now() + ${days} * interval '1 day', ${address}, ${client}
    from owner returning id
  ), token as (
    insert into ${refreshTokens} (hash, session_id) select ${token_hash}, id from session
  )
  select session.id as session_id, username, role from session, owner`

/** Days after its login at which a session ends, however often it was refreshed. */
const maxSessionDays = 90

/** The condition that a session has not ended; `sessions` is the alias. */
const isOpen = sql`sessions.revoked_at is null and sessions.expires_at > now()
  and sessions.created_at > now() - ${maxSessionDays} * interval '1 day'`

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

/**
 * The user of a session, if neither the session has ended nor the user been disabled or deleted.
 */
export async function findSessionUser(
  { database }: Services,
  connection: Connection,
  session_id: number
): Promise<Identity | undefined> {
  const [user] = await rowsOf<Identity>(
    database,
    connection,
    sql`select ${identity} from ${sessions} cross join ${activeUsers}
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
  rate_limit: number | null
  allowed_networks: string[]
  expires_at: string | null
}

/**
 * The API token with this ID and one of these secrets, if it is neither deleted nor expired, nor
 * its user disabled or deleted. Notes that it was used.
 */
export async function findToken(
  { database }: Services,
  id: number,
  hash: string
): Promise<TokenIdentity | undefined> {
  const [token] = await rowsOf<TokenIdentity>(
    database,
    database.point,
    sql`select ${identity}, t.id as token_id, t.scopes, t.risk, t.rate_limit, t.allowed_networks,
        t.expires_at, touch_api_token(t.organization_id, t.id, t.last_used_at)
      from ${acrossOrganizations(apiTokens)} t
      cross join ${activeUsers}
      where u.organization_id = t.organization_id and u.id = t.user_id
        and t.id = ${id} and t.deleted_at is null
        and (t.secret_hash = ${hash} or (t.previous_hash = ${hash} and t.previous_until > now()))
        and (t.expires_at is null or t.expires_at > now())`
  )
  return token
}

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
  select id, created_at, last_used_at, address, client,
    least(expires_at, created_at + ${maxSessionDays} * interval '1 day') as expires_at
  from ${ours(sessions)}
  where user_id = ${user_id} and ${isOpen} order by last_used_at desc, id desc limit 100`

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
  update ${sessions} set revoked_at = now()
  where organization_id = ${organization} and user_id = ${user_id} and ${isOpen}
    and id = coalesce(${only}::bigint, id) and id is distinct from ${except}::bigint
  returning id`
