import type { SQL } from 'drizzle-orm'
import type { Services } from '../../../core/services.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { acrossOrganizations, ours, rowsOf } from '../../../core/db/sql.ts'
import { mustSignIn } from '../identity-providers/queries.ts'
import { organizations } from '../organizations/table.ts'
import { invitations } from './table.ts'

/** An invitation that can be accepted. */
interface Acceptable {
  organization_id: number
  id: number
  email: string
  role_ids: number[]
  team_ids: number[]
  /** Whether the person cannot log in with a password. */
  must_sign_in: boolean
}

/** The invitation of a token, in whichever organization: there is no context before it is known. */
export async function findByToken(
  { database }: Services,
  token_hash: string
): Promise<Acceptable | undefined> {
  const [found] = await rowsOf<Acceptable>(
    database,
    database.point,
    sql`select organization_id, id, email, role_ids, team_ids,
        ${mustSignIn(sql`i`)} as must_sign_in
      from ${acrossOrganizations(invitations)} i
      where token_hash = ${token_hash} and deleted_at is null and expires_at > now()`
  )
  return found
}

/** Whether an invitation was neither deleted nor mailed again since it was found. */
export const stillOpen = (id: number, token_hash: string): SQL => sql`
  select from ${ours(invitations)} where id = ${id} and token_hash = ${token_hash}`

/** What the mail of an invitation says. */
export interface Mailable {
  email: string
  expires_at: string
  organization: string
}

/** An invitation to be mailed, unless it has expired or was deleted. */
export const mailable = (id: number): SQL => sql`
  select i.email, i.expires_at, o.name as organization
  from ${ours(invitations, 'i')} join ${organizations} o on o.id = i.organization_id
  where i.id = ${id} and i.expires_at > now()`
