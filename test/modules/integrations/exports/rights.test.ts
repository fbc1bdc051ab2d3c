// Who may export what, and who may read the file: by the rights of when that happens.
import t from 'tap'
import {
  application,
  bearer,
  caller,
  makeExports,
  organization,
  ownerOf
} from '../../../support/app.ts'
import { everything, hiding, userWith } from '../../../support/field-rights.ts'
import { jobOf, make, recordsIn, start } from './exports.ts'

const app = await application(t)
const contacts = { types: ['contact'] }

const granting = (reach: string, actions: readonly string[] = everything) => ({
  resource: 'contacts',
  actions,
  reach
})

/** An organization with a contact of the admin. */
async function organized() {
  const one = await organization(app)
  const body = { first_name: 'A', last_name: 'Admin', email: 'admin@example.com' }
  await one.call('POST /api/contacts', body)
  const setRoles = async (id: number, grants: object[]) => {
    const name = `role ${Math.random()}`
    const role = (await one.call('POST /api/roles', { name, grants })).json()
    await one.call(`PATCH /api/users/${id}`, { role_ids: [role.id] })
  }
  return { ...one, setRoles }
}

t.test('an export has what its author reaches, and may export', async t => {
  const one = await organized()
  const seller = await userWith(one, [granting('own')])
  const mine = { first_name: 'B', last_name: 'Mine' }
  const { id } = (await seller.call('POST /api/contacts', mine)).json()
  const { result } = await make(app, seller.call, contacts)
  const file = await seller.call(`GET ${result.href}`)
  t.same([...recordsIn(file.body).keys()], [`contact/${id}`])
  const reader = await userWith(one, [granting('all', ['read']), granting('own')])
  t.equal((await make(app, reader.call, contacts)).result.rows, 0, 'reading is not exporting')
})

t.test('hidden fields are in no file, and are not filtered by', async t => {
  const one = await organized()
  const { call } = await userWith(one, [hiding('contacts', 'email')])
  const { result } = await make(app, call, contacts)
  const { body } = await call(`GET ${result.href}`)
  t.match(body, /"last_name":"Admin"/)
  t.notMatch(body, /email/)
  const csv = await make(app, call, { ...contacts, format: 'csv' })
  t.notMatch((await call(`GET ${csv.result.href}`)).body, /email/)
  const filter = 'email=admin@example.com'
  t.equal((await call('POST /api/exports', { ...contacts, filter })).statusCode, 422)
})

t.test('each type requires its permission', async t => {
  const one = await organized()
  const { call } = await userWith(one, [
    granting('all'),
    { ...granting('all', ['read']), resource: 'leads' }
  ])
  const refused = await call('POST /api/exports', { types: ['contact', 'lead'] })
  t.match(refused.json(), { status: 403, detail: /leads:export/ })
  t.equal((await call('GET /api/jobs?count=exact')).json().total, 0)
})

t.test('the rights are those of the time when it is made', async t => {
  const one = await organized()
  const { call, user } = await userWith(one, [granting('all')])
  const id = await start(call, contacts)
  await one.setRoles(user.id, [granting('all', ['read'])])
  await makeExports(app)
  t.match(await jobOf(call, id), {
    state: 'failed',
    error: { code: 'forbidden', detail: /contacts:export/ },
    result: null
  })
  await one.setRoles(user.id, [granting('own')])
  t.equal((await make(app, call, contacts)).result.rows, 0)
  const waiting = await start(call, contacts)
  await one.call(`PATCH /api/users/${user.id}`, { status: 'disabled' })
  await makeExports(app)
  t.match(await jobOf(one.call, waiting), { state: 'failed', error: { code: 'forbidden' } })
})

t.test('a file is for those who may still export all that it has', async t => {
  const one = await organized()
  const { call, user } = await userWith(one, [granting('all')])
  const { id, result } = await make(app, call, contacts)
  const status = async (by = call) => (await by(`GET ${result.href}`)).statusCode
  t.equal(await status(), 200)
  for (const grants of [
    [granting('own')],
    [granting('all', ['read'])],
    [hiding('contacts', 'email')],
    [granting('all', ['read']), granting('own', ['export'])]
  ]) {
    await one.setRoles(user.id, grants)
    t.equal(await status(), 403, JSON.stringify(grants))
    t.equal((await call(`GET /api/exports/${id}`)).statusCode, 200)
  }
  await one.setRoles(user.id, [granting('all')])
  t.equal(await status(), 200)
  t.equal(await status(one.call), 200, 'an admin')
  const colleague = await userWith(one, [granting('all')])
  t.equal(await status(colleague.call), 404, 'a colleague')
  t.equal(await status((await organization(app)).call), 404, 'another organization')
  const administration = { resource: 'administration', actions: ['read'], reach: 'all' }
  const auditor = await userWith(one, [granting('own'), administration])
  t.equal(await status(auditor.call), 403, 'an administrator who reaches some records')
  const blind = await userWith(one, [hiding('contacts', 'email'), administration])
  t.equal(await status(blind.call), 403, 'one who does not see all fields')
})

t.test('an API token exports and reads as far as its scopes and its risk', async t => {
  const { call, id } = await organized()
  const tokenWith = async (scopes: string[], risk = 'read') => {
    const name = `token ${Math.random()}`
    const made = (await call('POST /api/api-tokens', { name, scopes, risk })).json()
    return { id: made.id as number, call: caller(app, bearer(made.token)) }
  }
  const scopes = ['contacts:read', 'contacts:export', 'exports:read', 'exports:export', 'jobs:read']
  const script = await tokenWith(scopes)
  const { result } = await make(app, script.call, contacts)
  t.equal((await script.call(`GET ${result.href}`)).statusCode, 200)
  const other = await tokenWith(scopes.filter(scope => scope !== 'contacts:export'))
  t.equal((await other.call('POST /api/exports', contacts)).statusCode, 403)
  t.equal((await other.call(`GET ${result.href}`)).statusCode, 403)

  await ownerOf(app)`insert into contacts (organization_id, first_name, last_name)
    select ${id}, 'Many', 'N' || i from generate_series(1, 10000) i`
  const detail = /more than 10,000 rows/
  t.match(await make(app, script.call, contacts), { state: 'failed', error: { detail } })
  const large = await make(app, call, contacts)
  t.match((await script.call(`GET ${large.result.href}`)).json(), { status: 403, detail })
  const waiting = await start(script.call, contacts)
  await call(`DELETE /api/api-tokens/${script.id}`)
  await makeExports(app)
  t.match(await jobOf(call, waiting), { state: 'failed', error: { code: 'forbidden' } })
})

t.test('the audit log has who exported what, and who got the file', async t => {
  const { call, admin } = await organized()
  const job = await make(app, call, { ...contacts, filter: 'last_name=Admin' })
  await call(`GET ${job.result.href}`)
  const found = async (type: string) => (await call(`GET /api/audit?type=${type}`)).json().data
  t.match(await found('export.started'), [
    {
      actor_id: admin.user.id,
      details: { path: 'contacts', format: 'application/x-ndjson', parameters: ['filter'] }
    }
  ])
  t.match(await found('export.downloaded'), [
    { actor_id: admin.user.id, details: { export_id: job.id, types: ['contact'], rows: 1 } }
  ])
})
