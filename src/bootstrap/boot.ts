import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import postgres from 'postgres'
import { ConfigError, type Config } from '../config.ts'
import { createEmbeddedRole, embeddedRole } from './application-role.ts'
import { socketUrl, startEmbeddedPostgres } from './embedded-postgres.ts'
import { closeServices, createServices } from '../services.ts'
import type { Services } from '../core/services.ts'
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

/** URLs of one database: of what serves requests, and of the role that owns the schema. */
interface DatabaseUrls {
  application: string
  owner: string
}

/**
 * Starts the embedded Postgres if the configuration names no other and none has its socket in the
 * folder `running`, and migrates the database. `settings`: the configuration with its open points
 * decided; `owner_url`: of the role that owns the schema.
 */
export async function boot(config: Config, log: BootLog, running?: string) {
  const { data_dir, database_url } = config
  const embedded =
    database_url === undefined && running === undefined
      ? await inFolder(data_dir, () =>
          startEmbeddedPostgres({ data_dir: postgresFolder(data_dir), log: log.debug })
        )
      : undefined
  try {
    const jwt_secret = config.jwt_secret ?? (await inFolder(data_dir, () => storedSecret(data_dir)))
    const urls =
      database_url === undefined
        ? await migrateEmbedded(running ?? embedded!.socket_dir, log)
        : await migrateGiven(database_url, config.database_migration_url, log)
    return {
      settings: { ...config, database_url: urls.application, jwt_secret },
      owner_url: urls.owner,
      postgres: embedded
    }
  } catch (error) {
    await embedded?.stop()
    throw error
  }
}

/** Creates the application's role on an embedded Postgres, and migrates its database. */
export async function migrateEmbedded(socket_dir: string, log: BootLog): Promise<DatabaseUrls> {
  const owner = socketUrl(socket_dir)
  await withClient(owner, createEmbeddedRole)
  await migrate(owner, log.warn, embeddedRole)
  return { application: socketUrl(socket_dir, embeddedRole), owner }
}

/**
 * `given`: of the role that owns the schema, if it is not the application's. Errors: ConfigError
 * that names the server, or if the URLs are of two databases.
 */
async function migrateGiven(
  application: string,
  given: string | undefined,
  log: BootLog
): Promise<DatabaseUrls> {
  const owner = given ?? application
  const role = given === undefined ? undefined : await applicationRole(application, given)
  await migrate(owner, log.warn, role).catch(explained(owner))
  return { application, owner }
}

/** The role as which the application connects. */
async function applicationRole(application: string, owner: string): Promise<string> {
  const identify = async (url: string) =>
    await withClient(url, async sql => {
      const [found] = await sql<{ role: string; database: string }[]>`
        select current_user as role, current_database() as database`
      return found!
    }).catch(explained(url))
  const [{ role, database }, other] = [await identify(application), await identify(owner)]
  if (database !== other.database)
    throw new ConfigError(
      `DATABASE_MIGRATION_URL names the database ${other.database}, but DATABASE_URL ${database}`
    )
  return role
}

async function withClient<T>(url: string, work: (client: postgres.Sql) => Promise<T>): Promise<T> {
  const client = postgres(url, { max: 1, connect_timeout: 5, onnotice: () => {} })
  try {
    return await work(client)
  } finally {
    await client.end({ timeout: 5 })
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

/**
 * For commands: runs `work` on the data of `npm start`, also while a server is running there.
 * `owner_url`: for what only the owner of the tables may do.
 */
export async function withServices(
  config: Config,
  work: (services: Services, owner_url: string) => Promise<void>
): Promise<void> {
  const running =
    config.database_url === undefined ? await runningPostgres(config.data_dir) : undefined
  const { settings, owner_url, postgres } = await boot(config, quiet, running)
  const services = createServices(settings)
  try {
    await work(services, owner_url)
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
const explained = (url: string) => (error: unknown) => {
  if (!(error instanceof Error && 'code' in error)) throw error
  const reason =
    error instanceof postgres.PostgresError
      ? `refused the connection: ${error.message}`
      : `is unreachable: ${String(error.code)}`
  throw new ConfigError(`Postgres at ${serverOf(url)} ${reason}`)
}

/**
 * The folder of the socket of the embedded Postgres that is running on `data_dir`; undefined if
 * none responds. The socket is open to the user who started it.
 */
async function runningPostgres(data_dir: string): Promise<string | undefined> {
  try {
    // the fifth line of the lock file
    const socket_dir = readFileSync(
      path.join(postgresFolder(data_dir), 'postmaster.pid'),
      'utf8'
    ).split('\n')[4]!
    await withClient(socketUrl(socket_dir), async client => await client`select 1`)
    return socket_dir
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
