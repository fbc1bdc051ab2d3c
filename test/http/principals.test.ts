// What users may do changes in every process at once, also without Redis.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { application, bearer, database, organization, password, type App } from '../support/app.ts'
import { enroll } from '../support/second-factor.ts'

const database_url = await database(t)
const [one, two] = [await application(t, { database_url }), await application(t, { database_url })]
const origins = new Map<App, string>()
for (const app of [one, two]) origins.set(app, await app.listen({ port: 0, host: '127.0.0.1' }))

const statusIn = async (app: App, token: string, path = '/api/tags') =>
  (await fetch(`${origins.get(app)}${path}`, { headers: bearer(token) })).status

/** Waits at most a second, a fifth of the time for which rights are kept, for a status. */
async function statusBecomes(token: string, status: number, path?: string): Promise<boolean> {
  for (let i = 0; i < 50; i++) {
    if ((await statusIn(two, token, path)) === status) return true
    await sleep(20)
  }
  return false
}

t.test('changes of users, roles, teams and tokens reach the other process', async t => {
  const { call, user } = await organization(one)
  const grants = [{ resource: 'records', actions: ['read'], reach: 'team' }]
  const role = (await call('POST /api/roles', { name: 'Reader', grants })).json()
  const [reader, mate] = [await user('Reader'), await user('user')]
  const { id } = (await mate.call('POST /api/accounts', { name: 'A' })).json()
  const account = `/api/accounts/${id}`
  t.equal(await statusIn(two, reader.token, account), 404)
  const member_ids = [reader.user.id, mate.user.id]
  const team = (await call('POST /api/teams', { name: 'T', member_ids })).json()
  t.ok(await statusBecomes(reader.token, 200, account), 'a new team')
  await call(`DELETE /api/teams/${team.id}`)
  t.ok(await statusBecomes(reader.token, 404, account), 'a deleted team')
  await call(`PATCH /api/roles/${role.id}`, { grants: [] })
  t.ok(await statusBecomes(reader.token, 403, account), 'a changed role')
  await call(`PATCH /api/users/${reader.user.id}`, { role: 'viewer' })
  t.ok(await statusBecomes(reader.token, 200, account), "a user's roles")

  const token = (await call('POST /api/api-tokens', { name: 'X', scopes: ['*'] })).json()
  t.equal(await statusIn(two, token.token), 200)
  await call(`DELETE /api/api-tokens/${token.id}`)
  t.ok(await statusBecomes(token.token, 401), 'a deleted API token')
  t.equal(await statusIn(two, mate.token), 200)
  await mate.call('POST /api/auth/logout')
  t.ok(await statusBecomes(mate.token, 401), 'a logout')
  await call(`PATCH /api/users/${reader.user.id}`, { status: 'disabled' })
  t.ok(await statusBecomes(reader.token, 401), 'a disabled user')
})

t.test('so do second factors and step-ups', async t => {
  const { call, user } = await organization(one)
  const me = await user('admin')
  const path = '/api/roles?limit=1'
  t.equal(await statusIn(two, me.token, path), 200)
  await call('PATCH /api/organization', { second_factor: 'required' })
  t.ok(await statusBecomes(me.token, 403, path), 'one that is required')
  await enroll(me.call)
  t.ok(await statusBecomes(me.token, 200, path), 'one that is enrolled')
  await me.call('PATCH /api/organization', { second_factor: 'optional' })
  await me.call('DELETE /api/auth/second-factor')
  await call('PATCH /api/organization', { second_factor: 'required' })
  t.ok(await statusBecomes(me.token, 403, path), 'one that is turned off')
  await enroll(me.call)
  await me.call('PATCH /api/organization', { second_factor: 'optional' })
  await me.call('DELETE /api/auth/second-factor')

  const removes = async () =>
    (
      await fetch(`${origins.get(two)}/api/auth/second-factor`, {
        method: 'DELETE',
        headers: bearer(me.token)
      })
    ).status
  const { pool } = one.services.database
  await pool`update sessions set stepped_up_at = now() - interval '1 hour'
    where user_id = ${me.user.id}`
  for (let i = 0; i < 50 && (await removes()) !== 403; i++) await sleep(20)
  t.equal(await removes(), 403, 'a step-up that is over')
  await me.call('POST /api/auth/step-up', { password })
  for (let i = 0; i < 50 && (await removes()) !== 204; i++) await sleep(20)
  t.equal(await removes(), 204, 'a step-up')
})

t.test('a process that hears nothing asks for every request, and listens again', async t => {
  const { call, user } = await organization(one)
  const reader = await user('viewer')
  const sql = one.services.database.pool
  const listeners = async () =>
    (await sql`select pid from pg_stat_activity where application_name = 'smartx-listener-access'
      and datname = current_database()`) as unknown as { pid: number }[]
  const before = await listeners()
  t.equal(before.length, 2)
  t.equal(await statusIn(two, reader.token), 200)
  for (const { pid } of before) await sql`select pg_terminate_backend(${pid})`
  await call(`PATCH /api/users/${reader.user.id}`, { status: 'disabled' })
  t.ok(await statusBecomes(reader.token, 401), 'while it reconnects')
  for (let i = 0; i < 100 && (await listeners()).length < 2; i++) await sleep(50)
  t.equal((await listeners()).length, 2, 'both listen again')
  await call(`PATCH /api/users/${reader.user.id}`, { status: 'active' })
  const other = await user('viewer')
  t.equal(await statusIn(two, other.token), 200)
  await call(`PATCH /api/users/${other.user.id}`, { status: 'disabled' })
  t.ok(await statusBecomes(other.token, 401))
})
