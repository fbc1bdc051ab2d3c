import type { SQL } from 'drizzle-orm'
import { sql } from '../../../core/db/drizzle.ts'
import { ours } from '../../../core/db/sql.ts'
import { users } from './table.ts'

/** What a session of a user is started with. */
export const credentialsOf = (id: number): SQL => sql`
  select organization_id, id, password_hash from ${ours(users)} where id = ${id}`
