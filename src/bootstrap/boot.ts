import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import postgres from 'postgres'
import { ConfigError, type Config } from '../config.ts'
import { socketUrl, startEmbeddedPostgres } from './embedded-postgres.ts'
import { closeServices, createServices } from '../services.ts'
import type { Services } from '../core/access/context.ts'
import { migrate } from './migrations.ts'
import { createFolder } from './private-folders.ts'

/** What happens at boot: lines of the embedded Postgres, and what a migration says about data. */
export interface BootLog {
  debug: (line: string) => void
  warn: (line: string) => void
}

/** For commands. */
export const quiet: BootLog = {
  debug: () => {},
  warn: line => {
    process.stderr.write(`${line}\n`)
  }
}

/**
 * Starts the embedded Postgres if the configuration names no other, and migrates the database.
 * `settings`: the configuration with its open points decided.
 */
export async function boot(config: Config, log: BootLog) {
  const { data_dir } = config
  const embedded =
    config.database_url === undefined
      ? await inFolder(data_dir, () =>
          startEmbeddedPostgres({ data_dir: postgresFolder(data_dir), log: log.debug })
        )
      : undefined
  const database_url = config.database_url ?? embedded!.url
  try {
    const jwt_secret = config.jwt_secret ?? (await inFolder(data_dir, () => storedSecret(data_dir)))
    await migrate(database_url, log.warn)
    return { settings: { ...config, database_url, jwt_secret }, postgres: embedded }
  } catch (error) {
    await embedded?.stop()
    throw config.database_url === undefined ? error : explained(error, config.database_url)
  }
}

/** Does work in DATA_DIR. Errors: those of the file system as a ConfigError that names it. */
async function inFolder<T>(data_dir: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error
    throw new ConfigError(`DATA_DIR ${path.resolve(data_dir)} cannot be used: ${error.message}`)
  }
}

/** For commands: runs `work` on the data of `npm start`, also while a server is running there. */
export async function withServices(
  config: Config,
  work: (services: Services) => Promise<void>
): Promise<void> {
  const { settings, postgres } = await boot(
    { ...config, database_url: config.database_url ?? (await runningPostgres(config.data_dir)) },
    quiet
  )
  const services = createServices(settings)
  try {
    await work(services)
  } finally {
    await closeServices(services)
    await postgres?.stop()
  }
}

/** Where the data is, for people: the folder, or the server and database without a password. */
export const describeDatabase = ({ database_url, data_dir }: Config): string =>
  database_url === undefined
    ? path.resolve(data_dir)
    : `${serverOf(database_url)}${new URL(database_url).pathname}`

function serverOf(url: string): string {
  const { hostname, port } = new URL(url)
  return `${decodeURIComponent(hostname) || 'localhost'}:${port || 5432}`
}

/**
 * The error of the first query, in one line that names the server. A refused `localhost` has no
 * message, but every error has a code.
 */
function explained(error: unknown, url: string): unknown {
  if (!(error instanceof Error && 'code' in error)) return error
  const reason =
    error instanceof postgres.PostgresError
      ? `refused the connection: ${error.message}`
      : `is unreachable: ${String(error.code)}`
  return new ConfigError(`Postgres at ${serverOf(url)} ${reason}`)
}

/**
 * The URL of the embedded Postgres that is running on `data_dir`; undefined if none responds. Its
 * socket is open to the user who started it.
 */
async function runningPostgres(data_dir: string): Promise<string | undefined> {
  try {
    // the fifth line of the lock file is the folder of the socket
    const socket_dir = readFileSync(
      path.join(postgresFolder(data_dir), 'postmaster.pid'),
      'utf8'
    ).split('\n')[4]
    const url = socketUrl(socket_dir!)
    const client = postgres(url, { max: 1, connect_timeout: 2 })
    try {
      await client`select 1`
    } finally {
      await client.end()
    }
    return url
  } catch {
    return undefined
  }
}

const postgresFolder = (data_dir: string) => path.resolve(data_dir, 'postgres')

/** The secret of a single process: generated at its first start and kept beside its data. */
function storedSecret(data_dir: string): string {
  const file = path.resolve(data_dir, 'jwt-secret')
  createFolder(path.dirname(file))
  try {
    writeFileSync(file, randomBytes(48).toString('base64'), { mode: 0o600, flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return readFileSync(file, 'utf8')
}
