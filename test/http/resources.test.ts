// A Postgres that responds but cannot do its work: full disk, no memory, I/O errors, read-only.
import { readFileSync } from 'node:fs'
import { pino } from 'pino'
import t from 'tap'
import { application, caller, organization, ownerOf } from '../support/app.ts'

/** Makes every write of a contact fail with the SQLSTATE that is its last name. */
const failOnDemand = `
  create function fail() returns trigger language plpgsql as $$
  begin
    if new.last_name ~ '^[0-9A-Z]{5}$' then
      raise exception 'no space left on device' using errcode = new.last_name;
    end if;
    return new;
  end $$;
  create trigger fail before insert or update on contacts for each row execute function fail()`

t.test('a lack of resources is a 503 that says when to retry; reads go on', async t => {
  for (const code of ['53100', '53200', '53300', '53400', '58000', '58030', '25006']) {
    const app = await application(t)
    const { call } = await organization(app)
    await ownerOf(app).unsafe(failOnDemand)
    const { id } = (await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })).json()
    t.match((await call('GET /readyz')).json(), { status: 'ok', postgres: 'ok' })

    const failed = await call(`PATCH /api/contacts/${id}`, { last_name: code })
    t.match(
      [failed.statusCode, failed.headers['retry-after'], failed.json().code],
      [503, '10', 'unavailable'],
      code
    )
    t.notMatch(failed.body, /no space|device/, 'without the message of the server')
    const ready = await caller(app)('GET /readyz')
    t.match(
      [ready.statusCode, ready.json()],
      [200, { status: 'degraded', postgres: 'degraded' }],
      'it is degraded, and still ready'
    )
    t.match((await call(`GET /api/contacts/${id}`)).json(), { last_name: 'B', version: 1 })
  }
})

t.test('a server that ends or refuses connections is a 503, too', async t => {
  const app = await application(t)
  const { call } = await organization(app)
  await ownerOf(app).unsafe(failOnDemand)
  for (const code of ['08006', '57P01', '57P02', '57P03', '57P05']) {
    const failed = await call('POST /api/contacts', { first_name: 'A', last_name: code })
    t.match(
      [failed.statusCode, failed.headers['retry-after'], failed.json().detail],
      [503, '1', 'The database is unreachable.'],
      code
    )
  }
})

t.test('corrupt data is an internal error: to retry does not help', async t => {
  const app = await application(t)
  const { call } = await organization(app)
  await ownerOf(app).unsafe(failOnDemand)
  for (const code of ['XX000', 'XX001']) {
    const failed = await call('POST /api/contacts', { first_name: 'A', last_name: code })
    t.match([failed.statusCode, failed.json().code], [500, 'internal'], code)
  }
})

t.test('a missing file is an internal error, a missing socket a lost database', async t => {
  const silent = pino({ level: 'silent' })
  const app = await application(t, {}, silent, async app => {
    app.get('/broken', { config: { public: true }, schema: { hide: true } }, async () =>
      readFileSync('/nowhere/at/all')
    )
  })
  t.equal((await app.inject('/broken')).statusCode, 500)
  const lost = await application(t, { database_url: 'postgres://x@%2Fnowhere%2F,/x' })
  for (const request of ['GET /readyz', 'POST /api/auth/login']) {
    const body = request.startsWith('POST') ? { username: 'a', password: 'b' } : undefined
    const answer = await caller(lost)(request, body)
    t.match([answer.statusCode, answer.headers['retry-after']], [503, '1'], request)
  }
})
