import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runMigrations } from 'graphile-worker'
import postgres from 'postgres'
import { drizzle, migrate as applyPending } from '../core/db/drizzle.ts'

const folder = fileURLToPath(new URL('../../drizzle', import.meta.url))
/** The advisory lock under which one process at a time migrates: "smartx" in ASCII. */
const lock = 0x736d61727478

/**
 * Applies pending migrations, all or none. Processes that start together wait for each other.
 * `url`: `postgres://…`
 */
export async function migrate(url: string): Promise<void> {
  const client = postgres(url, {
    max: 1,
    onnotice: () => {},
    connection: { application_name: 'smartx-migrate' }
  })
  try {
    await client`select pg_advisory_lock(${lock})`
    // the queue first: our triggers add jobs to it
    await runMigrations({ connectionString: url })
    await applyPending(drizzle(client), { migrationsFolder: folder })
  } finally {
    await client.end({ timeout: 5 })
  }
}

/** The timestamp of this release's newest migration, in ms since 1970, as the database has it. */
export const newestMigration: number = (
  JSON.parse(readFileSync(`${folder}/meta/_journal.json`, 'utf8')) as {
    entries: { when: number }[]
  }
).entries.at(-1)!.when
