import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import postgres from 'postgres'
import { createEmbeddedRole, embeddedRole } from '../../src/bootstrap/application-role.ts'
import {
  startEmbeddedPostgres,
  type EmbeddedPostgres
} from '../../src/bootstrap/embedded-postgres.ts'

/** Postgres server with a migrated database, which each test copies. `url` is the owner's. */
export interface Cluster {
  url: string
  template: string
  stop: () => Promise<void>
}

const keptFolder = path.resolve('node_modules/.cache/smartx-test-postgres')

/**
 * Starts the cluster kept from earlier runs, or a temporary one while another run uses that. Its
 * template is named after a hash of the migrations, and created once for them.
 */
export async function startCluster(): Promise<Cluster> {
  const { server, remove } = await startServer()
  const template = `template_${hashOfMigrations()}`
  const admin = postgres(server.url, { max: 1, onnotice: () => {} })
  await createEmbeddedRole(admin)
  await dropStaleDatabases(admin, template)
  await createTemplate(admin, server.url, template)
  await admin.end()
  return {
    url: server.url,
    template,
    stop: async () => {
      await server.stop()
      remove()
    }
  }
}

async function startServer(): Promise<{ server: EmbeddedPostgres; remove: () => void }> {
  try {
    return { server: await start(keptFolder), remove: () => {} }
  } catch (error) {
    if (!String(error).includes('is in use')) {
      // it is not durable: a crash of the machine can have damaged it
      rmSync(keptFolder, { recursive: true, force: true })
      return { server: await start(keptFolder), remove: () => {} }
    }
    const folder = mkdtempSync(path.join(tmpdir(), 'smartx-test-'))
    const remove = () => {
      rmSync(folder, { recursive: true, force: true })
    }
    return { server: await start(path.join(folder, 'postgres')), remove }
  }
}

const start = async (data_dir: string) =>
  await startEmbeddedPostgres({ data_dir, durable: false, settings: { max_connections: '200' } })

/** Row-level security for one role (see `test/core/db/tenants.test.ts`). */
const detector = readFileSync('scripts/test/detector.sql', 'utf8')

/** Hash of what makes the template; the job queue has migrations of its own. */
function hashOfMigrations(): string {
  const hash = createHash('sha256')
  for (const name of readdirSync('drizzle', { recursive: true, encoding: 'utf8' }).toSorted())
    if (/\.(sql|json)$/.test(name)) hash.update(readFileSync(path.join('drizzle', name)))
  hash.update(detector)
  hash.update(readFileSync('src/bootstrap/application-role.ts'))
  hash.update(readFileSync('node_modules/graphile-worker/package.json'))
  return hash.digest('hex').slice(0, 12)
}

/** Drops databases of interrupted runs, and templates of other migrations. */
async function dropStaleDatabases(admin: postgres.Sql, template: string): Promise<void> {
  const stale = await admin<{ name: string }[]>`
    select datname as name
    from pg_database
    where datname ~ '^(test|template|draft)_' and datname <> ${template}`
  for (const { name } of stale) await admin.unsafe(`drop database "${name}" with (force)`)
}

/** Renames it when complete, so that an interrupted run leaves no incomplete template. */
async function createTemplate(admin: postgres.Sql, url: string, template: string): Promise<void> {
  if ((await admin`select from pg_database where datname = ${template}`).length > 0) return
  const draft = template.replace('template', 'draft')
  await admin.unsafe(`create database ${draft}`)
  // slow to load, and rarely needed
  const { migrate } = await import('../../src/bootstrap/migrations.ts')
  const draftUrl = url.replace(/postgres$/, draft)
  await migrate(draftUrl, undefined, embeddedRole)
  const database = postgres(draftUrl, { max: 1, onnotice: () => {} })
  await database.unsafe(detector)
  await database.end()
  await admin.unsafe(`alter database ${draft} rename to ${template}`)
}
