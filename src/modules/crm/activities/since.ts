import type { SQL } from 'drizzle-orm'
import { sql } from '../../../core/db/drizzle.ts'
import { timeZone } from '../../../core/db/sql.ts'

/**
 * The instant that a text of the format `date-time-or-duration` means: `30d` is 30 days ago. The
 * database computes it, at the time of the query: a cursor holds the words of the request, so that
 * `30d` remains the same list while time passes.
 */
export const since = (text: SQL) =>
  sql`case when ${text}::text ~ '[hdw]$' then now() - ${text}::text::interval
    when ${text}::text ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'
      then ${text}::text::timestamp at time zone ${timeZone}
    else ${text}::text::timestamptz end`
