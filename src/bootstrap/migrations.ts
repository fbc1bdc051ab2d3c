import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runMigrations } from 'graphile-worker'
import postgres from 'postgres'
import { drizzle, migrate as applyPending } from '../core/db/drizzle.ts'

const folder = fileURLToPath(new URL('../../drizzle', import.meta.url))
/**
 * The key of the advisory lock under which one process at a time migrates a database: "smartx" in
 * ASCII.
 */
const lock = 0x736d61727478

/**
 * Applies what is pending, all of it or nothing. Processes that start together wait for each other.
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
    // the queue first: triggers of ours add jobs to it
    await runMigrations({ connectionString: url })
    await applyPending(drizzle(client), { migrationsFolder: folder })
  } finally {
    await client.end({ timeout: 5 })
  }
}

/**
 * When the newest migration of this release was written, in ms since 1970: what a migrated database
 * has recorded.
 */
export const newestMigration: number = (
  JSON.parse(readFileSync(`${folder}/meta/_journal.json`, 'utf8')) as {
    entries: { when: number }[]
  }
).entries.at(-1)!.when
