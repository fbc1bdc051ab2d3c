import type { LightMyRequestResponse } from 'fastify'
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pino, type Logger } from 'pino'
import postgres from 'postgres'
import type { Test } from 'tap'
import { buildApp, type AppConfig } from '../../src/app.ts'
import { embeddedRole } from '../../src/bootstrap/application-role.ts'
import { Context } from '../../src/core/access/context.ts'
import { Access, type Grant } from '../../src/core/access/permissions.ts'
import { createOrganization } from '../../src/bootstrap/organizations.ts'
import { createDatabase, type Sql } from '../../src/core/db/connections.ts'
import { runPendingExports } from '../../src/jobs/exports.ts'
import { runPendingJobs } from '../../src/jobs/runner.ts'
import { conforms } from './document.ts'

export const redisUrl = process.env.TEST_REDIS_URL
export const secret = 'a secret of the tests, longer than 32 bytes'
export const password = 'a quiet harbour 47'

const serverUrl = process.env.TEST_POSTGRES_URL ?? 'postgres://run-the-tests-with-npm-test'
const template = process.env.TEST_TEMPLATE!
export const databaseUrl = (name: string) => serverUrl.replace(/postgres$/, name)

/** The URL of the application's role for the URL of the owner of a database; others as they are. */
export const asApplication = (url: string) => url.replace('//postgres@', `//${embeddedRole}@`)

/** The settings of a process that migrates as the owner and serves as the application's role. */
export const settingsOf = (url: string) => ({
  DATABASE_URL: asApplication(url),
  DATABASE_MIGRATION_URL: url,
  JWT_SECRET: 'x'.repeat(32)
})

/** A migrated database, which is dropped after the test. Returns the URL of its owner. */
export async function database(t: Test): Promise<string> {
  const name = `test_${randomBytes(6).toString('hex')}`
  const admin = postgres(serverUrl, { max: 1, onnotice: () => {} })
  await admin.unsafe(`create database ${name} template ${template} strategy wal_log`)
  t.teardown(async () => {
    await admin.unsafe(`drop database if exists ${name} with (force)`)
    await admin.end()
  })
  return databaseUrl(name)
}

/** For slow and busy machines. Tests of the timeouts themselves use the default ones. */
export const longTimeouts = {
  statement: 60_000,
  aggregate: 60_000,
  lock: 40_000,
  answer: 70_000,
  turn: 60_000,
  transaction: 90_000
}

/**
 * An application on a database of its own, unless `database_url` names one. It connects as the
 * application's role, also if that is the URL of the owner. Passwords are hashed as cheaply as
 * possible. `extend` adds routes before the application is ready.
 */
export async function application(
  t: Test,
  config: Partial<AppConfig> = {},
  logger: Logger = pino({ level: 'silent' }),
  extend: (app: App) => Promise<void> = async () => {}
) {
  const database_url = config.database_url ?? (await database(t))
  const data_dir = path.join(tmpdir(), `smartx-data-${randomBytes(6).toString('hex')}`)
  const app = await buildApp(
    {
      redis_url: undefined,
      jwt_secret: secret,
      cors_origins: [],
      trust_proxy: [],
      rate_limit_max: 1_000_000,
      rate_limit_organization_max: 10_000_000,
      password_cost: { memory: 8, passes: 1 },
      database: { strict_locks: true, timeouts: longTimeouts },
      data_dir,
      ...config,
      database_url: asApplication(database_url)
    },
    logger
  )
  const owner = createDatabase(database_url, { timeouts: { statement: 0, lock: 0 } })
  t.teardown(async () => {
    await owner.close()
    await app.close()
    rmSync(data_dir, { recursive: true, force: true })
  })
  await extend(app)
  await app.ready()
  databases.set(app, database_url)
  owners.set(app, owner.pool)
  return app
}

export type App = Awaited<ReturnType<typeof buildApp>>
const databases = new WeakMap<App, string>()
const owners = new WeakMap<App, Sql>()

/** The database of an application as its owner, for what the application's role may not do. */
export const ownerOf = (app: App): Sql => owners.get(app)!

/** Runs the jobs that are due, as a worker would, until none is left. Errors: if one fails. */
export async function work(app: App): Promise<void> {
  await runPendingJobs(app.services, asApplication(databases.get(app)!), pino({ level: 'silent' }))
  const failed = await app.services.database
    .pool`select task_identifier, last_error from graphile_worker.jobs where last_error is not null`
  if (failed.length > 0) throw new Error(JSON.stringify(failed))
}

/** Makes the exports that wait, as a process would. */
export async function makeExports(app: App): Promise<void> {
  await runPendingExports(app.services, pino({ level: 'silent' }))
}

export type Headers = Record<string, string>
/**
 * Calls the API as a user: `await call('PATCH /api/contacts/1', { … }, { 'if-match': '"1"' })`. The
 * response is checked against the document.
 */
export type Call = (
  request: string,
  body?: object,
  headers?: Headers
) => Promise<LightMyRequestResponse>

/** Calls with the headers given. */
export const caller =
  (app: App, always: Headers = {}): Call =>
  async (request, body, headers = {}) => {
    const [method, url] = request.split(/ (.*)/s) as ['GET', string]
    const answer = await app.inject({
      method,
      url,
      headers: { ...always, ...headers },
      ...(body !== undefined && { payload: body })
    })
    conforms(app, method, url, answer)
    return answer
  }

export interface Login {
  token: string
  refresh_token: string
  expires_in: number
  user: { id: number; username: string; role: string }
}

export async function login(app: App, username: string, secret = password): Promise<Login> {
  const answer = await caller(app)('POST /api/auth/login', { username, password: secret })
  if (answer.statusCode !== 200) throw new Error(answer.body)
  return answer.json()
}

/** What includes and the directory show of a user without further names. */
export const summaryOf = ({ id, username }: { id: number; username: string }) => ({
  id,
  username,
  first_name: null,
  last_name: null
})

/** The context of someone with these grants. */
export const withGrants = (ctx: Context, grants: Grant[]): Context =>
  new Context(ctx.services, { ...ctx.principal, access: new Access(grants) })

export const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` })
const mark = () => randomBytes(5).toString('hex')

/**
 * A new organization that nobody else in the test can see, with a caller for its admin and a
 * function that creates other users.
 */
export async function organization(app: App) {
  const username = `admin-${mark()}`
  const { id, slug } = await createOrganization(app.services, 'Test', {
    username,
    email: `${username}@example.com`,
    password
  })
  const admin = await login(app, username)
  const asAdmin = caller(app, bearer(admin.token))
  return {
    id,
    slug,
    admin,
    call: asAdmin,
    /** A new user of the organization, logged in. */
    async user(role: string) {
      const name = `${role}-${mark()}`
      const created = await asAdmin('POST /api/users', {
        username: name,
        email: `${name}@example.com`,
        password,
        role
      })
      if (created.statusCode !== 201) throw new Error(created.body)
      const session = await login(app, name)
      return { ...session, call: caller(app, bearer(session.token)) }
    }
  }
}
