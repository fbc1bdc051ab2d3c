import type { SQL } from 'drizzle-orm'
import type { Services } from '../../../core/services.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { acrossOrganizations, organization, ours, rowsOf } from '../../../core/db/sql.ts'
import { mustSignIn } from '../identity-providers/queries.ts'
import { organizations } from '../organizations/table.ts'
import { users } from '../users/table.ts'
import { passwordResets } from './table.ts'

// There is no context before the token is known: some of these find out the organization.

interface Owner {
  organization_id: number
  id: number
}

/** At most so many users of one email address get a mail. */
const maxUsers = 5

/**
 * The first few active users of an email address who can log in with a password: in the
 * organization of a slug, or in all.
 */
export const findByEmail = async (
  { database }: Services,
  email: string,
  slug: string | null
): Promise<Owner[]> =>
  await rowsOf<Owner>(
    database,
    database.point,
    sql`select u.organization_id, u.id
      from ${acrossOrganizations(users)} u join ${organizations} o on o.id = u.organization_id
      where email_key(u.email) = email_key(${email})
        and u.deleted_at is null and u.status = 'active' and u.kind = 'person'
        and not ${mustSignIn(sql`u`)}
        and o.slug = coalesce(${slug}, o.slug)
      order by u.organization_id, u.id limit ${maxUsers}`
  )

/** Adds a reset for each of the users, and the job that mails its token, named `job`. */
export const insertResets = (owners: Owner[], job: string): SQL => sql`
  with added as (
    insert into ${passwordResets} (organization_id, user_id)
    select * from unnest(${sql.param(owners.map(one => one.organization_id))}::bigint[],
      ${sql.param(owners.map(one => one.id))}::bigint[])
    returning organization_id, id
  )
  select enqueue_job(${job}, organization_id, jsonb_build_object('reset_id', id), null) from added`

/** What the mail of a reset says. */
export interface Recipient {
  email: string
  username: string
  organization: string
}

/**
 * Gives a reset its token, valid for an hour from now, and returns whom to mail it to: nobody an
 * hour after the request, or when the user is not active any more.
 */
export const issueToken = (id: number, token_hash: string): SQL => sql`
  update ${passwordResets} r
  set token_hash = ${token_hash}, expires_at = now() + interval '1 hour'
  from ${ours(users, 'u')}, ${organizations} o
  where r.organization_id = ${organization} and r.id = ${id}
    and r.created_at > now() - interval '1 hour'
    and u.id = r.user_id and u.status = 'active' and o.id = r.organization_id
  returning u.email, u.username, o.name as organization`

/** The user whose password a token resets, with the hash of the present one. */
interface Resetting extends Owner {
  username: string
  email: string
  password_hash: string
  has_second_factor: boolean
}

export async function findByToken(
  { database }: Services,
  token_hash: string
): Promise<Resetting | undefined> {
  const [found] = await rowsOf<Resetting>(
    database,
    database.point,
    sql`select u.organization_id, u.id, u.username, u.email, u.password_hash,
        u.second_factor_since is not null as has_second_factor
      from ${acrossOrganizations(passwordResets)} r
      join ${acrossOrganizations(users)} u
        on u.organization_id = r.organization_id and u.id = r.user_id
      where r.token_hash = ${token_hash} and r.expires_at > now()
        and u.deleted_at is null and u.status = 'active' and u.kind = 'person'`
  )
  return found
}

/** Deletes the resets of a user: their tokens are refused from then on. */
export const deleteResets = (user_id: number): SQL => sql`
  delete from ${passwordResets} where organization_id = ${organization} and user_id = ${user_id}`
