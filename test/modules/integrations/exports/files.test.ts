// Exports: what is in a file, how it is read, how it ends, and what becomes of it.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import t from 'tap'
import { Context } from '../../../../src/core/access/context.ts'
import { deleteExpired } from '../../../../src/core/db/expiry.ts'
import { startExports } from '../../../../src/jobs/exports.ts'
import { exportService } from '../../../../src/modules/integrations/exports/service.ts'
import { application, makeExports, organization, ownerOf } from '../../../support/app.ts'
import { jobOf, make, recordsIn, start } from './exports.ts'

const app = await application(t)
const owner = ownerOf(app)
const silent = pino({ level: 'silent' })

const folderOf = (id: number) => path.dirname(app.services.files.pathOf(id, 'x'))
const filesOf = (id: number) => (existsSync(folderOf(id)) ? readdirSync(folderOf(id)) : [])

/** An organization with so many contacts. */
async function withContacts(count: number) {
  const one = await organization(app)
  await owner`insert into contacts (organization_id, first_name, last_name, email)
    select ${one.id}, 'José', 'N' || i, 'n' || i || '@example.com'
    from generate_series(1, ${count}) i`
  return one
}

t.test('a file has what the lists have, and the job tells where it is', async t => {
  const { call, id } = await withContacts(2500)
  const account = (await call('POST /api/accounts', { name: '=Acme' })).json()
  const gone = (await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })).json()
  await call(`DELETE /api/contacts/${gone.id}`)
  const answer = await call('POST /api/exports', { types: ['contact', 'account'] })
  t.equal(answer.statusCode, 202)
  t.match(answer.json(), { kind: 'export', state: 'waiting', is_cancelable: true, result: null })
  t.equal(answer.headers.location, `/api/jobs/${answer.json().id}`)
  await makeExports(app)
  const job = await jobOf(call, answer.json().id)
  t.match(job, { state: 'completed', progress: { done: 2501, total: 2501 }, error: null })
  const { href, sha256, rows, cursor } = job.result
  t.equal(rows, 2501)
  t.match(cursor, /^[1-9]\d*-[0-9a-f]{12}$/)
  const file = await call(`GET ${href}`)
  t.match(file.headers, {
    'content-type': 'application/x-ndjson; charset=utf-8',
    'content-disposition': `attachment; filename="export-${job.id}.ndjson"`,
    'accept-ranges': 'bytes',
    'content-length': String(file.rawPayload.length),
    etag: `"${sha256}"`
  })
  t.equal(createHash('sha256').update(file.rawPayload).digest('hex'), sha256)
  const records = recordsIn(file.body)
  t.equal(records.size, 2501)
  const listed = (await call('GET /api/contacts?sort=-id&limit=1')).json().data[0]
  t.same(records.get(`contact/${listed.id}`), listed)
  t.same(records.get(`account/${account.id}`), account)
  t.notOk(records.has(`contact/${gone.id}`), 'without what is deleted')
  t.match((await call(`GET /api/exports/${job.id}`)).json(), { href, sha256, rows, cursor })
  const [name] = filesOf(id)
  t.equal(statSync(path.join(folderOf(id), name!)).mode & 0o777, 0o600)
  t.equal(statSync(folderOf(id)).mode & 0o777, 0o700)
})

t.test('CSV is that of the list, with its filter', async t => {
  const { call } = await withContacts(30)
  const filter = 'last_name[in]=N1,N2'
  const job = await make(app, call, { types: ['contact'], filter, format: 'csv' })
  const file = await call(`GET ${job.result.href}`)
  const list = await call(`GET /api/contacts?${filter}`, undefined, { accept: 'text/csv' })
  t.equal(file.body, list.body)
  t.equal(file.headers['content-type'], 'text/csv; charset=utf-8')
  t.equal(job.result.rows, 2)
})

t.test('what cannot be exported together is refused', async t => {
  const { call } = await organization(app)
  const refused = async (body: object) => (await call('POST /api/exports', body)).json()
  const types = ['contact', 'account']
  t.match(await refused({ types, format: 'csv' }), {
    status: 422,
    errors: [{ pointer: '/format' }]
  })
  t.match(await refused({ types, filter: 'id=1' }), {
    status: 422,
    errors: [{ pointer: '/filter' }]
  })
  t.match(await refused({ types: ['contact'], filter: 'x=1' }), { status: 422 })
  t.match(await refused({ types: ['user'] }), { status: 400 }, 'users are no records')
  t.match(await refused({ types: ['contact', 'contact'] }), { status: 400 })
})

t.test('without a cursor, the feed is left alone', async t => {
  const { call } = await withContacts(1)
  const job = await make(app, call, { types: ['contact'], with_cursor: false })
  t.match(job, { state: 'completed', result: { cursor: null, rows: 1 } })
})

t.test('a request with a key starts one export', async t => {
  const { call } = await withContacts(1)
  const send = async () =>
    await call('POST /api/exports', { types: ['contact'] }, { 'idempotency-key': 'once' })
  t.equal((await send()).json().id, (await send()).json().id)
  t.equal((await call('GET /api/jobs?kind=export&count=exact')).json().total, 1)
})

t.test('parts of a file are sent by ranges', async t => {
  const { call } = await withContacts(100)
  const { result } = await make(app, call, { types: ['contact'] })
  const whole = (await call(`GET ${result.href}`)).rawPayload
  const get = async (headers: Record<string, string>) =>
    await call(`GET ${result.href}`, undefined, headers)
  const etag = `"${result.sha256}"`
  for (const [range, from, to] of [
    ['bytes=0-99', 0, 100],
    ['bytes=100-', 100, whole.length],
    ['bytes=-50', whole.length - 50, whole.length],
    [`bytes=0-${whole.length * 2}`, 0, whole.length]
  ] as const) {
    const part = await get({ range, 'if-range': etag })
    t.equal(part.statusCode, 206, range)
    t.equal(part.headers['content-range'], `bytes ${from}-${to - 1}/${whole.length}`)
    t.equal(part.headers.etag, etag)
    t.ok(part.rawPayload.equals(whole.subarray(from, to)), range)
  }
  const beyond = await get({ range: `bytes=${whole.length}-` })
  t.match(beyond.json(), { status: 416, code: 'range_not_satisfiable' })
  t.equal(beyond.headers['content-range'], `bytes */${whole.length}`)
  const others = await get({ range: 'bytes=0-9', 'if-range': '"another"' })
  t.match([others.statusCode, others.rawPayload.length], [200, whole.length], 'of another file')
  const odd = await get({ range: 'lines=0-9' })
  t.equal(odd.statusCode, 200, 'an unknown unit does not matter')
  t.equal((await get({ 'if-none-match': etag })).statusCode, 304)
  const { sha256 } = (await call('GET /api/exports/1')).json()
  t.notOk(sha256, 'that of another organization is not there')
})

t.test('an export is canceled before it begins, and while it is made', async t => {
  const { call, id } = await withContacts(20_000)
  const waiting = await start(call, { types: ['contact'] })
  t.equal((await call(`POST /api/jobs/${waiting}/cancellation`)).statusCode, 200)
  await makeExports(app)
  t.match(await jobOf(call, waiting), { state: 'cancelled', result: null })
  const running = await start(call, { types: ['contact'] })
  // it waits for its snapshot as long as someone has the lock
  let made: Promise<void> | undefined
  await owner.begin(async sql => {
    await sql`select pg_advisory_xact_lock('event_sequence'::regclass::oid::bigint)`
    made = makeExports(app)
    while ((await jobOf(call, running)).state !== 'running') await sleep(10)
    t.equal((await call(`POST /api/jobs/${running}/cancellation`)).statusCode, 202)
    while ((await jobOf(call, running)).state === 'cancelling') await sleep(20)
  })
  await made
  t.match(await jobOf(call, running), { state: 'cancelled', result: null })
  t.same(filesOf(id), [], 'nothing is left')
  const file = await call(`GET /api/exports/${running}/content`)
  t.match(file.json(), { status: 409 })
})

t.test('of an organization, one export is made at a time; others do not wait', async t => {
  const [one, two] = [await withContacts(1), await withContacts(1)]
  for (const { call } of [one, one, two]) await start(call, { types: ['contact'] })
  const leases = [
    await exportService.lease(app.services),
    await exportService.lease(app.services),
    await exportService.lease(app.services)
  ]
  t.match(leases, [{ organization_id: one.id }, { organization_id: two.id }, undefined])
  await owner`update exports set leased_until = now() where lease is not null`
  await makeExports(app)
  const left = await owner`select * from exports where is_open`
  t.same([...left], [], 'those of processes that died are made by others')
})

t.test('many exports of one organization do not keep others waiting', async t => {
  const [one, two] = [await withContacts(1), await withContacts(1)]
  for (const { call } of [one, one, one, two]) await start(call, { types: ['contact'] })
  const next = async () => {
    const leased = (await exportService.lease(app.services))!
    const { organization_id } = leased
    await exportService.close(Context.system(app.services, organization_id), leased)
    return organization_id
  }
  t.same([await next(), await next(), await next()], [one.id, two.id, one.id])
  await makeExports(app)
})

t.test('a process that stops leaves its export to others', async t => {
  const { call, id } = await withContacts(30_000)
  const jobId = await start(call, { types: ['contact'] })
  const runner = startExports(app.services, silent)
  while ((await jobOf(call, jobId)).state !== 'running') await sleep(5)
  await runner.stop()
  t.match(
    filesOf(id).filter(name => name.endsWith('.part')),
    []
  )
  await makeExports(app)
  t.match(await jobOf(call, jobId), { state: 'completed', result: { rows: 30_000 } })
  t.equal(filesOf(id).length, 1)
})

t.test('after seven days, the export and its file are gone', async t => {
  const { call, id } = await withContacts(1)
  const { id: exportId, result } = await make(app, call, { types: ['contact'] })
  const days = owner`extract(epoch from expires_at - now()) / 86400`
  const [row] = await owner`select ${days} as days from exports where id = ${exportId}
    and organization_id = ${id}`
  t.equal(Math.round(row!.days as number), 7)
  const age = (file: string) => {
    utimesSync(path.join(folderOf(id), file), 0, 0)
  }
  writeFileSync(path.join(folderOf(id), 'interrupted.ndjson.part'), '')
  age('interrupted.ndjson.part')
  age(filesOf(id).find(name => name.endsWith('.ndjson'))!)
  writeFileSync(path.join(folderOf(id), 'still-written.ndjson.part'), '')
  await exportService.sweep(app.services)
  t.match(filesOf(id).toSorted(), [/^[0-9a-f]{32}\.ndjson$/, 'still-written.ndjson.part'])
  await owner`update exports set expires_at = now() where id = ${exportId}`
  t.equal((await call(`GET /api/exports/${exportId}`)).statusCode, 404)
  t.equal((await call(`GET ${result.href}`)).statusCode, 404)
  await deleteExpired(app.services.database)
  await exportService.sweep(app.services)
  t.same(filesOf(id), ['still-written.ndjson.part'])
})

t.test('a server that does not have the file says so', async t => {
  const { call, id } = await withContacts(1)
  const { result } = await make(app, call, { types: ['contact'] })
  await app.services.files.remove(id, filesOf(id)[0]!)
  t.match((await call(`GET ${result.href}`)).json(), { status: 503, detail: /DATA_DIR/ })
})
