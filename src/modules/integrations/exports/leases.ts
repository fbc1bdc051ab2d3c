import { randomBytes } from 'node:crypto'
import type { Context } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { acrossOrganizations, organization, rowsOf } from '../../../core/db/sql.ts'
import type { Services } from '../../../core/services.ts'
import type { Wanted } from './parts.ts'
import { exports } from './table.ts'

/** An export that this process has a lease of: nobody else works on it meanwhile. */
export interface Leased extends Wanted {
  organization_id: number
  id: number
  lease: string
  attempts: number
}

/** For how long a lease is valid; the export of a process that was killed begins anew then. */
const duration = sql.raw(`interval '30 seconds'`)

/**
 * Takes the next export that nobody works on, one of each organization at a time: of the one whose
 * last export ended before those of others, so that many of one do not keep them waiting. Undefined
 * if there is none. Errors: those of `rowsOf`.
 */
export async function lease({ database }: Services): Promise<Leased | undefined> {
  const token = randomBytes(16).toString('hex')
  const all = acrossOrganizations(exports)
  try {
    const [leased] = await rowsOf<Leased>(
      database,
      database.pool,
      sql`update ${exports} set lease = ${token}, leased_until = now() + ${duration},
          attempts = attempts + 1
        where ctid = (select ctid from ${all} e where is_open and case
            when lease is null then not exists (select from ${all} r
              where r.organization_id = e.organization_id and r.lease is not null)
            else leased_until < now() end
          order by (select max(expires_at) from ${all} d
            where d.organization_id = e.organization_id and not d.is_open) nulls first, id
          limit 1 for update skip locked)
        returning organization_id, id, types, filter, format, with_cursor, lease, attempts`
    )
    return leased
  } catch (error) {
    // another process was faster with one of the same organization
    if (error instanceof Error && 'code' in error && error.code === '23505') return undefined
    throw error
  }
}

const held = ({ id, lease }: Leased) =>
  sql`organization_id = ${organization} and id = ${id} and lease = ${lease}`

/** Renews a lease; returns false if it was lost. */
export async function renew(ctx: Context, leased: Leased): Promise<boolean> {
  const renewed = await ctx.write(
    [],
    sql`update ${exports} set leased_until = now() + ${duration} where ${held(leased)} returning id`
  )
  return renewed.length > 0
}

/** Gives a lease back, so that any process can begin anew after some seconds. */
export async function release(ctx: Context, leased: Leased, seconds: number): Promise<void> {
  await ctx.write(
    [],
    sql`update ${exports} set leased_until = now() + make_interval(secs => ${seconds})
      where ${held(leased)}`
  )
}

/** The same at once, as if it had not been tried. */
export async function giveBack(ctx: Context, leased: Leased): Promise<void> {
  await ctx.write(
    [],
    sql`update ${exports} set lease = null, leased_until = null, attempts = attempts - 1
      where ${held(leased)}`
  )
}

/** Ends a lease for good, with what was made, if anything; returns false if it was lost. */
export async function close(ctx: Context, leased: Leased, made?: Made): Promise<boolean> {
  const { file, cursor, rows, bytes, sha256, rights } = { ...nothing, ...made }
  const closed = await ctx.write(
    [],
    sql`update ${exports} set is_open = false, lease = null, leased_until = null,
        expires_at = now() + interval '7 days', file = ${file}::text, cursor = ${cursor}::text,
        rows = ${rows}::int, bytes = ${bytes}::bigint, sha256 = ${sha256}::text,
        rights = ${rights && JSON.stringify(rights)}::text::jsonb
      where ${held(leased)} returning id`
  )
  return closed.length > 0
}

const nothing = { file: null, cursor: null, rows: null, bytes: null, sha256: null, rights: null }

/** What an export has become. */
export interface Made {
  file: string
  cursor: string | null
  rows: number
  bytes: number
  sha256: string
  rights: object[]
}

/** Which of these names are of files that are in use. Errors: those of `rowsOf`. */
export async function namesInUse({ database }: Services, names: string[]): Promise<string[]> {
  const rows = await rowsOf<{ file: string }>(
    database,
    database.pool,
    sql`select file from ${acrossOrganizations(exports)}
      where file = any(${sql.param(names)}::text[])`
  )
  return rows.map(({ file }) => file)
}
