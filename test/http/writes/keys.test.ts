import { setTimeout as sleep } from 'node:timers/promises'
import { test, type Test } from 'tap'
import { deleteExpired } from '../../../src/core/db/expiry.ts'
import {
  application,
  bearer,
  caller,
  login,
  organization,
  ownerOf,
  password,
  type App,
  type Call,
  type Headers
} from '../../support/app.ts'

const person = { first_name: 'Eva', last_name: 'Ek' }
const withKey = (key: string, more: Headers = {}) => ({ 'idempotency-key': key, ...more })

/** How many contacts there are, and how many events of their creation. */
async function counted(call: Call): Promise<[contacts: number, events: number]> {
  const contacts = await call('GET /api/contacts?count=exact')
  const events = await call('GET /api/audit?type=contact.created&count=exact')
  return [contacts.json().total, events.json().total]
}

/** An application with an organization. */
async function set(t: Test) {
  const app = await application(t)
  return { app, ...(await organization(app)) }
}

test('a repetition with a key gets the same response and changes nothing', async t => {
  const { call } = await set(t)
  const first = await call('POST /api/contacts', person, withKey('first'))
  t.equal(first.statusCode, 201)
  t.notOk(first.headers['idempotency-replayed'])
  for (const key of ['first', '"first"']) {
    const again = await call('POST /api/contacts', person, withKey(key))
    t.equal(again.statusCode, 201)
    t.equal(again.body, first.body)
    t.equal(again.headers['idempotency-replayed'], 'true')
    for (const name of ['etag', 'location', 'content-type'])
      t.equal(again.headers[name], first.headers[name], name)
  }
  t.same(await counted(call), [1, 1])
  const { id } = first.json()
  const removed = await call(`DELETE /api/contacts/${id}`, undefined, withKey('remove'))
  const removedAgain = await call(`DELETE /api/contacts/${id}`, undefined, withKey('remove'))
  t.same([removed.statusCode, removedAgain.statusCode], [204, 204])
  t.equal(removedAgain.headers['idempotency-replayed'], 'true')
})

test('50 parallel requests with one key make one record and get 50 equal responses', async t => {
  const { call } = await set(t)
  const send = async () => await call('POST /api/contacts', person, withKey('parallel'))
  const answers = await Promise.all(Array.from({ length: 50 }, send))
  t.same([...new Set(answers.map(({ statusCode }) => statusCode))], [201])
  t.equal(new Set(answers.map(({ body }) => body)).size, 1)
  t.equal(answers.filter(({ headers }) => headers['idempotency-replayed']).length, 49)
  t.same(await counted(call), [1, 1])
})

test('a repetition does nothing that it would have to undo', async t => {
  const { call } = await set(t)
  const create = async (key: string) =>
    (await call('POST /api/contacts', person, withKey(key))).json().id as number
  const first = await create('first')
  await Promise.all(Array.from({ length: 10 }, async () => await create('first')))
  t.equal(await create('second'), first + 1, 'it does not even use up an ID')
})

/** Does `work` while another transaction uses a key of the only user. */
async function whileUsed(app: App, key: string, work: () => Promise<void>): Promise<void> {
  await ownerOf(app).begin(async sql => {
    await sql`select pg_advisory_xact_lock(
      hashtextextended(concat('idempotency/user/', id, '/', ${key}::text), organization_id)
    ) from users`
    await work()
  })
}

test('a request that waited for its key is carried out as it was sent', async t => {
  const { app, call } = await set(t)
  const contact = (await call('POST /api/contacts', person)).json()
  const path = `/api/contacts/${contact.id}`
  await call(`GET ${path}`)
  let waiting: ReturnType<Call>
  await whileUsed(app, 'waits', async () => {
    waiting = call(`PATCH ${path}`, { ...contact, company: 'Ek Inc.' }, withKey('waits'))
    await sleep(60)
    await call(`PATCH ${path}`, { last_name: 'Lind' })
  })
  t.equal((await waiting!).statusCode, 409, 'it repeats a version that is no longer that')
})

test('nothing is carried out while its key is used, with or without the database', async t => {
  const { app, call } = await set(t)
  const { id } = (await call('POST /api/contacts', person)).json()
  await call(`GET /api/contacts/${id}`)
  const requests: [string, object?][] = [
    ['POST /api/contacts', person],
    ['POST /api/contacts?match=email', person],
    [`PATCH /api/contacts/${id}`, { last_name: 'Lind' }],
    [`DELETE /api/contacts/${id}`]
  ]
  await whileUsed(app, 'used', async () => {
    for (const [request, body] of requests) {
      const refused = await call(request, body, withKey('used'))
      t.equal(refused.statusCode, 409, request)
      t.equal(refused.json().code, 'idempotency_in_progress', request)
    }
  })
  t.same(await counted(call), [1, 1])
})

test('a key stands for one request: another one is refused and changes nothing', async t => {
  const { call } = await set(t)
  const { id } = (await call('POST /api/contacts', person, withKey('one'))).json()
  const others: [string, object?, Headers?][] = [
    ['POST /api/contacts', { ...person, last_name: 'Lind' }],
    ['POST /api/contacts?fields=id', person],
    ['POST /api/accounts', { name: 'Ek' }],
    [`DELETE /api/contacts/${id}`],
    ['POST /api/contacts', person, { 'if-match': '"1"' }]
  ]
  for (const [request, body, headers] of others) {
    const answer = await call(request, body, withKey('one', headers))
    t.equal(answer.statusCode, 422, request)
    t.equal(answer.json().code, 'idempotency_key_reused')
    t.match(answer.json().detail, 'POST /api/contacts')
  }
  t.same(await counted(call), [1, 1])
})

test('a key is of one user or API token', async t => {
  const { app, call, admin, user } = await set(t)
  const other = await user('manager')
  const token = await call('POST /api/api-tokens', { name: 'Import', scopes: ['*'], risk: 'write' })
  const asToken = caller(app, bearer(token.json().token))
  const inAnotherSession = caller(app, bearer((await login(app, admin.user.username)).token))
  const neighbor = await organization(app)
  for (const one of [call, inAnotherSession, other.call, asToken, neighbor.call])
    t.equal((await one('POST /api/contacts', person, withKey('mine'))).statusCode, 201)
  t.same(await counted(call), [3, 3], 'sessions of one user share their keys')
})

test('a repetition while the request is in progress is refused', async t => {
  const { app, call } = await set(t)
  const { id } = (await call('POST /api/contacts', person)).json()
  const rename = async () =>
    await call(`PATCH /api/contacts/${id}`, { last_name: 'Lind' }, withKey('slow'))
  let first: ReturnType<typeof rename>
  await ownerOf(app).begin(async sql => {
    await sql`select from contacts where id = ${id} for update`
    first = rename()
    await sleep(100)
    const refused = await rename()
    t.equal(refused.statusCode, 409)
    t.equal(refused.json().code, 'idempotency_in_progress')
    t.equal(refused.headers['retry-after'], '1')
  })
  t.equal((await first!).json().version, 2)
  const again = await rename()
  t.equal(again.headers['idempotency-replayed'], 'true')
  t.equal(again.json().version, 2)
})

test('failures by the state of records are kept, failures of the request are not', async t => {
  const { app, call, user } = await set(t)
  const { id } = (await call('POST /api/tags', { name: 'vip' })).json()
  const kept: [number, string, object, Headers?][] = [
    [409, 'POST /api/tags', { name: 'VIP' }],
    [412, `PATCH /api/tags/${id}`, { name: 'other' }, { 'if-match': '"9"' }],
    [422, 'POST /api/contacts', { ...person, account_id: 99 }]
  ]
  for (const [status, request, body, headers] of kept) {
    const send = async () => await call(request, body, withKey(`kept ${status}`.slice(5), headers))
    const first = await send()
    t.equal(first.statusCode, status)
    const again = await send()
    t.equal(again.statusCode, status)
    t.equal(again.body, first.body)
    t.equal(again.headers['idempotency-replayed'], 'true')
    t.equal(again.headers['content-type'], first.headers['content-type'])
  }
  const viewer = await user('viewer')
  const unkept: [number, Call, string, object][] = [
    [400, call, 'POST /api/contacts', {}],
    [401, caller(app), 'POST /api/contacts', person],
    [403, viewer.call, 'POST /api/contacts', person],
    [404, call, 'PATCH /api/contacts/99', { last_name: 'Lind' }]
  ]
  for (const [status, as, request, body] of unkept)
    for (let i = 0; i < 2; i++) {
      const answer = await as(request, body, withKey(`unkept-${status}`))
      t.equal(answer.statusCode, status)
      t.notOk(answer.headers['idempotency-replayed'])
    }
})

test('a key is 1 to 255 visible characters', async t => {
  const { call } = await set(t)
  for (const key of ['', '""', 'two words', 'é', 'a'.repeat(256), '"'.repeat(2)])
    t.equal((await call('POST /api/contacts', person, withKey(key))).statusCode, 400, key)
  for (const key of ['a'.repeat(255), '!"#~', '"'])
    t.equal((await call('POST /api/contacts', person, withKey(key))).statusCode, 201, key)
  t.same(await counted(call), [3, 3])
})

test('a kept secret is encrypted, and cannot be read without the secret of the server', async t => {
  const { app, call } = await set(t)
  const create = async () =>
    await call('POST /api/api-tokens', { name: 'Import', scopes: ['*'] }, withKey('token'))
  const { token } = (await create()).json()
  t.equal((await create()).json().token, token, 'a repetition has it')
  const [row] = await ownerOf(app)`select k::text as whole from idempotency_keys k`
  t.notOk(row!.whole.includes(token))
  await ownerOf(app)`update idempotency_keys set encrypted_body = reverse(encrypted_body)`
  const lost = await create()
  t.equal(lost.statusCode, 409)
  t.match(lost.json().detail, 'can no longer be read')
  t.equal((await call('GET /api/api-tokens?count=exact')).json().total, 1)
})

test('a key can be used for another request after 24 hours', async t => {
  const { app, call } = await set(t)
  const age = async (hours: number) =>
    await ownerOf(app)`update idempotency_keys
      set created_at = now() - ${hours} * interval '1 hour'`
  await call('POST /api/contacts', person, withKey('old'))
  await age(23)
  t.equal((await call('POST /api/accounts', { name: 'Ek' }, withKey('old'))).statusCode, 422)
  await age(25)
  t.equal((await call('POST /api/accounts', { name: 'Ek' }, withKey('old'))).statusCode, 201)
  t.equal((await call('POST /api/contacts', person, withKey('old'))).statusCode, 422)
  await age(25)
  await deleteExpired(app.services.database)
  t.same([...(await ownerOf(app)`select from idempotency_keys`)], [], 'expired keys are deleted')
})

test('a kept response is for the rights that its caller had', async t => {
  const { call, user } = await set(t)
  const { id } = (await call('POST /api/contacts', person)).json()
  const clerk = await user('user')
  const rename = async () =>
    await clerk.call(`PATCH /api/contacts/${id}`, { last_name: 'Lind' }, withKey('rename'))
  t.equal((await rename()).statusCode, 200)
  await call(`PATCH /api/users/${clerk.user.id}`, { role: 'partner' })
  const narrowed = await rename()
  t.equal(narrowed.statusCode, 409)
  t.match(narrowed.json().detail, 'can no longer be read')
})

test('below /api/auth keys are ignored, and failures recorded', async t => {
  const { call } = await set(t)
  const failed = await call('POST /api/auth/step-up', { password: 'wrong' }, withKey('step-up'))
  t.equal(failed.statusCode, 422)
  t.equal((await call('GET /api/audit?type=login.failed&count=exact')).json().total, 1)
  const change = { current_password: password, new_password: 'another quiet harbour 48' }
  t.equal((await call('POST /api/auth/change-password', change, withKey('new'))).statusCode, 200)
})

/** Has the transactions that create contacts fail when they are committed. */
async function failAtCommit(app: App): Promise<() => Promise<void>> {
  const owner = ownerOf(app)
  await owner.unsafe(`create function fail() returns trigger language plpgsql as
    $$ begin raise exception 'not today'; end $$`)
  await owner.unsafe(`create constraint trigger fail after insert on contacts
    deferrable initially deferred for each row execute function fail()`)
  return async () => {
    await owner.unsafe('drop trigger fail on contacts')
  }
}

test('a write that is not committed is not reported as done', async t => {
  const { app, call } = await set(t)
  const repair = await failAtCommit(app)
  const failed = await call('POST /api/contacts', person, withKey('commit'))
  t.equal(failed.statusCode, 500)
  t.match(failed.headers['content-type'], 'application/problem+json')
  t.notOk(failed.headers.location ?? failed.headers.etag)
  await repair()
  const done = await call('POST /api/contacts', person, withKey('commit'))
  t.equal(done.statusCode, 201)
  t.notOk(done.headers['idempotency-replayed'])
  t.same(await counted(call), [1, 1])
})

test('a key is claimed once, also at the moment at which another claim is committed', async t => {
  const { app, id } = await set(t)
  const pool = ownerOf(app)
  const connections = await Promise.all(Array.from({ length: 4 }, async () => await pool.reserve()))
  t.teardown(() => {
    for (const connection of connections) connection.release()
  })
  for (let key = 0; key < 1_500; key++) {
    const claims = connections.map(async connection => {
      const claim = `select claim_idempotency_key(${id}, 'user/1', '${key}', '-infinity')`
      const keep = `insert into idempotency_keys
        (organization_id, credential, key, method, path, request, status, headers)
        values (${id}, 'user/1', '${key}', 'POST', '/', '', 201, '{}')
        on conflict (organization_id, credential, key) do update set status = 500`
      await connection.unsafe(`begin; ${claim}; ${keep}; commit`).catch(async () => {
        await connection.unsafe('rollback')
      })
    })
    await Promise.all(claims)
  }
  const kept = await pool`select status from idempotency_keys where organization_id = ${id}`
  t.equal(kept.length, 1_500)
  t.same(new Set(kept.map(({ status }) => status as number)), new Set([201]), 'none was kept twice')
})
