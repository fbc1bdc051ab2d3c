import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runMigrations } from 'graphile-worker'
import postgres from 'postgres'
import { assertUsable } from './database-checks.ts'
import { drizzle, migrate as applyPending } from '../core/db/drizzle.ts'
import { closePool, queuePool } from '../core/db/queue-pool.ts'
import { version } from '../version.ts'

const folder = fileURLToPath(new URL('../../drizzle', import.meta.url))
/** The advisory lock under which one process at a time migrates: "smartx" in ASCII. */
const lock = 0x736d61727478

/** Milliseconds to wait for a lock, such as that of another process that migrates. */
const lockTimeout = 60_000

/**
 * Applies pending migrations, all or none. Processes that start together wait for each other.
 * `url`: `postgres://…`; `report` gets what a migration says about data. Errors: with a message of
 * one line; also when a newer release has migrated the database, which this one would fill with
 * what the newer one does not expect.
 */
export async function migrate(url: string, report = (_line: string) => {}): Promise<void> {
  const client = postgres(url, {
    max: 1,
    onnotice: ({ severity, message = '' }) => {
      if (severity === 'WARNING') report(message)
    },
    connection: { application_name: 'smartx-migrate', lock_timeout: lockTimeout }
  })
  const pool = queuePool(url)
  try {
    await client`select pg_advisory_lock(${lock})`
    await assertUsable(client)
    await assertNoNewerRelease(client)
    // the queue first: our triggers add jobs to it
    await runMigrations({ pgPool: pool })
    await applyPending(drizzle(client), { migrationsFolder: folder }).catch(failed)
  } finally {
    await closePool(pool)
    await client.end({ timeout: 5 })
  }
}

/** Drizzle's own error is the statement that failed; its cause says why. */
function failed(error: Error): never {
  const { message } = error.cause instanceof Error ? error.cause : error
  throw new Error(`The database could not be migrated: ${message}`, { cause: error })
}

/** When each migration of this release was made, in ms since 1970, as the database has it. */
const known: number[] = (
  JSON.parse(readFileSync(`${folder}/meta/_journal.json`, 'utf8')) as {
    entries: { when: number }[]
  }
).entries.map(({ when }) => when)

/** That of the newest one. */
export const newestMigration: number = known.at(-1)!

async function assertNoNewerRelease(client: postgres.Sql): Promise<void> {
  const [table] = await client`select to_regclass('drizzle.__drizzle_migrations') as name`
  if (table!.name === null) return
  const applied = await client<{ when: number }[]>`
    select created_at::float8 as when from drizzle.__drizzle_migrations`
  if (applied.some(({ when }) => !known.includes(when)))
    throw new Error(
      `The database was migrated by a newer release than ${version}: start that release, or a ` +
        'later one'
    )
}
