import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Config } from './config.ts'
import { startEmbeddedPostgres } from './embedded-postgres.ts'
import { migrate } from './migrations.ts'

/** Makes the services that the configuration leaves to us, and a database that is migrated. `settings` leave nothing open. */
export async function boot (config: Config, log: (line: string) => void) {
  const postgres = config.database_url === undefined
    ? await startEmbeddedPostgres({ data_dir: postgresFolder(config.data_dir), log })
    : undefined
  const settings = { ...config, database_url: config.database_url ?? postgres!.url, jwt_secret: config.jwt_secret ?? keptSecret(config.data_dir) }
  await migrate(settings.database_url)
  return { settings, postgres }
}

/**
 * The URL of the embedded Postgres that a running server has started on `data_dir`; undefined when there is none. For
 * commands that work beside the server: its socket is open to its own user (and to root).
 */
export function runningPostgres (data_dir: string): string | undefined {
  try {
    // https://www.postgresql.org/docs/18/storage-file-layout.html: line 1 the process, 5 the folder of the socket, 8 the status
    const [pid, , , , socket_dir, , , status] = readFileSync(path.join(postgresFolder(data_dir), 'postmaster.pid'), 'utf8').split('\n')
    process.kill(Number(pid), 0)
    return status?.trim() === 'ready' ? `postgres://postgres@${encodeURIComponent(`${socket_dir}/`)},/postgres` : undefined
  } catch {
    return undefined
  }
}

const postgresFolder = (data_dir: string) => path.resolve(data_dir, 'postgres')

/** The secret of an installation of one process: made at its first start and kept beside its data. */
function keptSecret (data_dir: string): string {
  const file = path.resolve(data_dir, 'jwt-secret')
  mkdirSync(path.dirname(file), { recursive: true })
  try {
    writeFileSync(file, randomBytes(48).toString('base64'), { mode: 0o600, flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return readFileSync(file, 'utf8')
}
