import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { runMigrations } from 'graphile-worker'
import postgres from 'postgres'
import { excessOf, grantPrivileges } from './application-role.ts'
import { assertUsable } from './database-checks.ts'
import { drizzle, migrate as applyPending } from '../core/db/drizzle.ts'
import { closePool, queuePool } from '../core/db/queue-pool.ts'
import { version } from '../version.ts'

const folder = fileURLToPath(new URL('../../drizzle', import.meta.url))
/** The advisory lock under which one process at a time migrates: "smartx" in ASCII. */
const lock = 0x736d61727478

/** Milliseconds to wait for another process that migrates. */
const processTimeout = 60_000
/**
 * Milliseconds for which a migration waits for the lock of a table: everything else that needs the
 * table waits behind it. Then it leaves it to the others for a while, and tries again.
 */
const lockTimeout = 3_000
const pause = 1_000
const maxAttempts = 15
/** The codes of Postgres for a lock that was not given in time, and for a deadlock. */
const lockErrors = new Set<unknown>(['55P03', '40P01'])

/**
 * Applies pending migrations, all or none. Processes that start together wait for each other.
 * `url`: `postgres://…` of the role that owns the schema, or of any other one if none is pending;
 * `role`: that of the application, if it is another one, which then gets its privileges. `report`
 * gets what a migration says about data, and what the role has too much of. Errors: with a message
 * of one line; also when a newer release has migrated the database, which this one would fill with
 * what the newer one does not expect.
 */
export async function migrate(
  url: string,
  report = (_line: string) => {},
  role?: string
): Promise<void> {
  const client = postgres(url, {
    max: 1,
    onnotice: ({ severity, message = '' }) => {
      if (severity === 'WARNING') report(message)
    },
    connection: { application_name: 'smartx-migrate', lock_timeout: processTimeout }
  })
  const pool = queuePool(url)
  try {
    await client`select pg_advisory_lock(${lock})`
    await assertUsable(client)
    const isPending = await hasPending(client)
    // the queue first: our triggers add jobs to it
    await runMigrations({ pgPool: pool }).catch(failed)
    await client`set lock_timeout = ${client.unsafe(String(lockTimeout))}`
    await undisturbed(report, async () => {
      if (isPending) await applyPending(drizzle(client), { migrationsFolder: folder })
      if (role !== undefined) await restrict(client, role, report)
    }).catch(failed)
  } finally {
    await closePool(pool)
    await client.end({ timeout: 5 })
  }
}

/** Does `work`, again as long as other work has a lock that it needs. */
async function undisturbed(report: (line: string) => void, work: () => Promise<void>) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      const { code } = causeOf(error as Error) as { code?: string }
      if (!lockErrors.has(code) || attempt === maxAttempts) throw error
      if (attempt === 1) report('The migration waits for other work on the database.')
    }
    await sleep(pause)
  }
}

/** Drizzle's own error is the statement that failed; its cause says why. */
const causeOf = (error: Error): Error => (error.cause instanceof Error ? error.cause : error)

function failed(error: Error): never {
  const { message, code } = causeOf(error) as Error & { code?: string }
  const advice = code === '42501' ? ': set DATABASE_MIGRATION_URL to the role that owns it' : ''
  throw new Error(`The database could not be migrated: ${message}${advice}`, { cause: error })
}

/** Grants the application's role what it needs, and reports what else it has. */
async function restrict(client: postgres.Sql, role: string, report: (line: string) => void) {
  const excess = await excessOf(client, role)
  if (excess !== undefined)
    report(
      `DATABASE_URL is of the role ${role}, which ${excess}: an application that is broken into ` +
        'could change the schema'
    )
  if (excess === undefined || excess === 'may create tables') await grantPrivileges(client, role)
}

/** When each migration of this release was made, in ms since 1970, as the database has it. */
const known: number[] = (
  JSON.parse(readFileSync(`${folder}/meta/_journal.json`, 'utf8')) as {
    entries: { when: number }[]
  }
).entries.map(({ when }) => when)

/** That of the newest one. */
export const newestMigration: number = known.at(-1)!

/**
 * Whether migrations are pending. If none is, nothing is tried: even to look for its table, Drizzle
 * wants to create it. Errors: if a newer release has migrated the database.
 */
async function hasPending(client: postgres.Sql): Promise<boolean> {
  const applied = await appliedMigrations(client).catch(failed)
  if (applied.some(when => !known.includes(when)))
    throw new Error(
      `The database was migrated by a newer release than ${version}: start that release, or a ` +
        'later one'
    )
  return !applied.includes(newestMigration)
}

async function appliedMigrations(client: postgres.Sql): Promise<number[]> {
  const [table] = await client`select to_regclass('drizzle.__drizzle_migrations') as name`
  if (table!.name === null) return []
  const applied = await client<{ when: number }[]>`
    select created_at::float8 as when from drizzle.__drizzle_migrations`
  return applied.map(({ when }) => when)
}
