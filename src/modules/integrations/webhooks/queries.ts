import type { SQL } from 'drizzle-orm'
import { sql } from '../../../core/db/drizzle.ts'
import { organization, ours } from '../../../core/db/sql.ts'
import { organizations } from '../../identity/organizations/table.ts'
import { roles } from '../../identity/roles/table.ts'
import { users } from '../../identity/users/table.ts'
import { deliveries } from '../deliveries/table.ts'
import { webhooks, type PauseReason } from './table.ts'

const isAdmin = sql`u.status = 'active' and u.kind = 'person' and exists (
  select from ${ours(roles)} where is_built_in and name = 'admin' and id = any(u.role_ids))`

/** The IDs of the admins. */
export const adminIds: SQL = sql`select id from ${ours(users, 'u')} where ${isAdmin} order by id`

/** What the mail about a webhook that was paused says. */
export interface Mailable {
  email: string
  organization: string
  url: string
  paused_reason: PauseReason | null
}

/** A webhook and an admin, as long as they are. */
export const mailable = (webhook_id: number, user_id: number): SQL => sql`
  select u.email, o.name as organization, w.url, w.paused_reason
  from ${ours(users, 'u')} join ${organizations} o on o.id = u.organization_id
  join ${ours(webhooks, 'w')} on w.id = ${webhook_id}
  where u.id = ${user_id} and ${isAdmin}`

/** Has what waits for its next attempt be sent at once. */
export const makeDue = (webhook_id: number): SQL => sql`
  update ${deliveries} set due_at = now()
  where organization_id = ${organization} and webhook_id = ${webhook_id} and due_at > now()
    and leased_until is null`
