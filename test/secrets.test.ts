// A canary of every secret, where it belongs and where it does not: it is kept nowhere, and no log
// and no error repeats it.
import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import {
  application,
  bearer,
  organization,
  ownerOf,
  redisUrl,
  type Headers
} from './support/app.ts'

/** A text that is found wherever it turns up, and that no rule for passwords refuses. */
const canaryOf = (what: string) => `Canary-${what}-${randomBytes(12).toString('hex').toUpperCase()}`

const jwt_secret = canaryOf('signing')
const mailPassword = canaryOf('mail')
const lines: string[] = []
const app = await application(
  t,
  {
    jwt_secret,
    redis_url: redisUrl,
    mail: { url: `smtp://crm:${mailPassword}@127.0.0.1:1`, from: 'crm@example.com' }
  } as object,
  pino({ level: 'trace' }, { write: line => void lines.push(line) })
)
const { call, user, slug } = await organization(app)

const responses: string[] = []
/** Sends a request as it is; what fails is kept, to be searched. */
async function send(
  method: 'GET' | 'POST' | 'PATCH',
  url: string,
  body?: unknown,
  headers: Headers = {}
) {
  const payload = typeof body === 'string' ? body : JSON.stringify(body)
  const typed = payload === undefined ? {} : { 'content-type': 'application/json' }
  const answer = await app.inject({
    method,
    url,
    headers: { ...typed, ...headers },
    ...(payload !== undefined && { payload })
  })
  if (answer.statusCode >= 400) responses.push(`${method} ${answer.statusCode} ${answer.body}`)
  return answer
}

/** The tables that hold a text, whatever the column. */
async function tablesWith(text: string): Promise<string[]> {
  const sql = ownerOf(app)
  const tables = await sql<{ name: string }[]>`
    select format('%I.%I', table_schema, table_name) as name from information_schema.tables
    where table_schema in ('public', 'graphile_worker') and table_type = 'BASE TABLE'`
  const found: string[] = []
  for (const { name } of tables) {
    const rows = await sql.unsafe(`select 1 from ${name} one where strpos(one::text, $1) > 0`, [
      text
    ])
    if (rows.length > 0) found.push(name)
  }
  return found
}

async function redisWith(text: string): Promise<string[]> {
  if (redisUrl === undefined) return []
  const redis = new Redis(redisUrl)
  const keys = await redis.keys('*')
  const values = await Promise.all(
    keys.map(async key => `${key} ${await redis.get(key).catch(() => '')}`)
  )
  redis.disconnect()
  return values.filter(value => value.includes(text))
}

async function assertNowhere(t: Test, secrets: Record<string, string>): Promise<void> {
  for (const [what, secret] of Object.entries(secrets)) {
    t.same(
      lines.filter(line => line.includes(secret)),
      [],
      `${what}: logs`
    )
    t.same(
      responses.filter(body => body.includes(secret)),
      [],
      `${what}: errors`
    )
    t.same(await tablesWith(secret), [], `${what}: tables`)
    t.same(await redisWith(secret), [], `${what}: Redis`)
  }
}

t.test('where they belong', async t => {
  const [first, second, wrong] = [canaryOf('first'), canaryOf('second'), canaryOf('wrong')]
  const person = { username: 'canary-owner', email: 'canary@example.com', password: first }
  t.equal((await call('POST /api/users', person)).statusCode, 201)
  const login = async (password: string) =>
    await send('POST', '/api/auth/login', {
      username: person.username,
      password,
      organization: slug
    })
  const session = (await login(first)).json()
  t.equal((await login(wrong)).statusCode, 401)
  const own = bearer(session.token)
  await send(
    'POST',
    '/api/auth/change-password',
    { current_password: wrong, new_password: second },
    own
  )
  t.equal((await send('POST', '/api/auth/step-up', { password: first }, own)).statusCode, 200)
  await send('POST', '/api/auth/step-up', { password: wrong }, own)
  const factor = (await send('POST', '/api/auth/second-factor', undefined, own)).json()
  await send('POST', '/api/auth/second-factor/confirmation', { code: '000000' }, own)
  const changed = { current_password: first, new_password: second }
  const next = await send('POST', '/api/auth/change-password', changed, own)
  t.equal(next.statusCode, 200)
  const { token, refresh_token } = next.json()
  const refreshed = (await send('POST', '/api/auth/refresh', { refresh_token })).json()
  await send('POST', '/api/auth/refresh', { refresh_token: wrong })
  await send('POST', '/api/auth/token', `grant_type=password&username=x&password=${wrong}`, {
    'content-type': 'application/x-www-form-urlencoded'
  })
  await send('GET', '/api/contacts', undefined, {
    authorization: `Basic ${Buffer.from(`x:${wrong}`).toString('base64')}`
  })
  await send('GET', '/api/contacts', undefined, bearer(wrong))
  const given = { name: 'A script', scopes: ['contacts:read'] }
  const api = (await call('POST /api/api-tokens', given)).json()
  await send('GET', '/api/contacts', undefined, bearer(api.token))
  await send('POST', '/api/contacts', {}, bearer(api.token))
  await send('POST', '/api/auth/invitations/accept', { token: wrong, password: second })
  await send('POST', '/api/auth/password-resets/confirm', { token: wrong, password: second })
  await assertNowhere(t, {
    'a password': first,
    'a new password': second,
    'a wrong secret': wrong,
    'an access token': token,
    'its session before': session.token,
    'a refresh token': refresh_token,
    'the next one': refreshed.refresh_token,
    'an API token': api.token.slice(-43),
    'the secret of a second factor': factor.secret,
    'the signing secret': jwt_secret,
    'the password of the mail server': mailPassword
  })
})

t.test('where they do not', async t => {
  const { token } = await user('admin')
  const own = bearer(token)
  const [secret, api] = [canaryOf('misplaced'), `sx_1_${randomBytes(32).toString('base64url')}`]
  for (const canary of [secret, api]) {
    for (const headers of [own, {}]) {
      for (const path of ['contacts', 'audit', 'auth/me', 'reports/pipeline', 'nothing'])
        for (const query of [
          `token=${canary}`,
          `q=${canary}`,
          `cursor=${canary}`,
          `sort=${canary}`,
          canary
        ])
          await send('GET', `/api/${path}?${query}`, undefined, headers)
      for (const path of [
        canary,
        `contacts/${canary}`,
        `contacts/1/${canary}`,
        `../${canary}`,
        `${canary}/x`
      ])
        await send('GET', `/api/${path}`, undefined, headers)
    }
    // not X-Request-Id and User-Agent, which are there to be noted
    for (const name of [
      'if-match',
      'if-none-match',
      'cookie',
      'idempotency-key',
      'accept',
      'prefer',
      'referer',
      'x-api-key',
      'content-type',
      'origin'
    ])
      await send('POST', '/api/contacts', {}, { ...own, [name]: canary })
    for (const path of [
      '/api/contacts',
      '/api/auth/login',
      '/api/auth/refresh',
      '/api/users',
      '/api/api-tokens'
    ])
      for (const body of [
        { [canary]: 1 },
        { password: canary, token: canary },
        `{"a":"${canary}`,
        `"${canary}"`,
        [canary]
      ])
        await send('POST', path, body, own)
    await send('POST', '/api/auth/login', {
      username: canary,
      password: 'the name is in the first field'
    })
    await send('POST', '/api/auth/login', {
      username: 'x',
      password: 'a password',
      organization: canary
    })
    await send('POST', '/api/auth/login', { username: 'x', password: 'a password', code: canary })
    await send('POST', '/api/auth/password-resets', { email: `${canary}@example.com` })
    await send('PATCH', '/api/contacts/1', { id: canary, version: canary }, own)
    await send('POST', '/api/auth/token', `grant_type=${canary}&username=${canary}`, {
      'content-type': 'application/x-www-form-urlencoded'
    })
    await send('GET', '/api/contacts?fields=id', undefined, {
      ...own,
      accept: `text/csv;x=${canary}`
    })
    await send('GET', `/api/contacts?last_name=${canary}`, undefined, {
      ...own,
      accept: 'text/csv'
    })
  }
  t.ok(responses.length > 150, `${responses.length} errors`)
  await assertNowhere(t, { 'a password': secret, 'an API token': api.slice(5) })
})
