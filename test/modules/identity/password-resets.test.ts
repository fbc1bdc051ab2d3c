// How a forgotten password is reset, by a token that is mailed.
import { createHash, randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { deleteExpired } from '../../../src/core/db/expiry.ts'
import {
  application,
  bearer,
  caller,
  login,
  organization,
  password,
  work,
  type App
} from '../../support/app.ts'
import { mailbox } from '../../support/mailbox.ts'

const { settings, mails, take, refuse } = await mailbox(t)
const app = await application(t, { mail: settings })
const anybody = caller(app)
const sql = app.services.database.pool
const hashOf = (token: string) => createHash('sha256').update(token).digest('hex')
const next = 'another harbour 48'

/** Requests a reset, from an address that nobody else in the test has. */
async function request(body: object, remoteAddress = `10.${[...randomBytes(3)].join('.')}`) {
  const answer = await app.inject({
    method: 'POST',
    url: '/api/auth/password-resets',
    payload: body,
    remoteAddress
  })
  return [answer.statusCode, answer.body]
}
const requested = [202, '']
const confirm = async (token: string, password = next, on: App = app) =>
  await caller(on)('POST /api/auth/password-resets/confirm', { token, password })
const emailOf = ({ user }: { user: { username: string } }) => `${user.username}@example.com`
const unusable = {
  status: 422,
  code: 'rule_broken',
  errors: [{ pointer: '/token', params: { rule: 'one_time_token' } }]
}

/** A user, and the token that was mailed to them. */
async function forgetful(role = 'user') {
  const { call, user } = await organization(app)
  const one = await user(role)
  await request({ email: emailOf(one) })
  await work(app)
  return { ...one, admin: call, token: take().token }
}

t.test('a user sets a new password by a mailed token', async t => {
  const { user } = await organization(app)
  const one = await user('user')
  t.same(await request({ email: emailOf(one).toUpperCase() }), requested)
  await work(app)
  const mail = take()
  t.same([mail.to, mail.subject], [[emailOf(one)], 'Reset your password'])
  t.ok(mail.text.includes(`\nhttps://app.example.com/reset-password?token=${mail.token}\r\n`))
  t.match(mail.text, `Hello ${one.user.username},`)
  t.match(mail.text, 'at Test.')
  t.match(mail.source, /^Auto-Submitted: auto-generated\r$/m)

  const elsewhere = await login(app, one.user.username)
  const answer = await confirm(mail.token)
  t.same([answer.statusCode, answer.body], [204, ''])
  for (const { token, refresh_token } of [one, elsewhere]) {
    const me = await anybody('GET /api/auth/me', undefined, bearer(token))
    t.match(me.json(), { status: 401, code: 'session_ended' }, 'all sessions end')
    t.equal((await anybody('POST /api/auth/refresh', { refresh_token })).statusCode, 401)
  }
  await t.rejects(login(app, one.user.username), 'the old password is refused')
  await t.resolves(login(app, one.user.username, next))
  t.match((await confirm(mail.token, 'a third harbour 49')).json(), unusable, 'it works once')
})

t.test('the response tells nobody whether there is a user', async t => {
  const { user, slug } = await organization(app)
  const [one, disabled, deleted] = await Promise.all(['user', 'user', 'user'].map(user))
  await sql`update users set status = 'disabled' where id = ${disabled!.user.id}`
  await sql`update users set deleted_at = now() where id = ${deleted!.user.id}`
  const bodies = [
    { email: emailOf(one!) },
    { email: emailOf(one!), organization: slug },
    { email: emailOf(one!), organization: 'another' },
    { email: emailOf(disabled!) },
    { email: emailOf(deleted!) },
    { email: 'nobody@example.com' }
  ]
  const took: number[] = []
  for (const body of bodies) {
    const start = performance.now()
    t.same(await request(body), requested, JSON.stringify(body))
    took.push(performance.now() - start)
  }
  t.ok(Math.min(...took) >= 249, `not even by its time: ${took.map(Math.round).join(', ')} ms`)
  await work(app)
  t.same(
    mails.splice(0).map(({ to }) => to),
    [[emailOf(one!)], [emailOf(one!)]]
  )
  for (const email of ['nobody', 'a@example.com\r\nBcc: b@example.com', 'a@b.org,c@d.org'])
    t.match((await anybody('POST /api/auth/password-resets', { email })).json(), {
      status: 400,
      errors: [{ pointer: '/email' }]
    })
})

t.test(
  'the users of an address in several organizations get a mail each, five at most',
  async t => {
    const email = `many-${randomBytes(4).toString('hex')}@example.com`
    const organizations = await Promise.all(Array.from({ length: 6 }, () => organization(app)))
    for (const { call } of organizations)
      await call('POST /api/users', { username: email, email, password })
    await request({ email })
    await work(app)
    const tokens = mails.splice(0).map(mail => mail.token)
    t.equal(new Set(tokens).size, 5)
    t.equal((await confirm(tokens[0]!)).statusCode, 204)
    const changed = await sql`select u.organization_id from users u join users o using (email)
    where u.email = ${email} group by u.organization_id, u.password_hash having max(u.version) = 2`
    t.equal(changed.length, 1, 'a token is for one of them')
    await request({ email, organization: organizations[5]!.slug })
    await work(app)
    t.equal((await confirm(take().token)).statusCode, 204)
    const answer = await anybody('POST /api/auth/login', {
      username: email,
      password: next,
      organization: organizations[5]!.slug
    })
    t.equal(answer.statusCode, 200)
  }
)

t.test('a user gets five mails in an hour, an address asks fifty times', async t => {
  const { user } = await organization(app)
  const [one, another] = [await user('user'), await user('user')]
  const many = await Promise.all(Array.from({ length: 8 }, () => request({ email: emailOf(one) })))
  for (const answer of many) t.same(answer, requested)
  await work(app)
  t.equal(mails.splice(0).length, 5)
  const network = '2001:db8:1:2::'
  const nobody = { email: 'nobody@example.com' }
  await Promise.all(Array.from({ length: 50 }, (_, i) => request(nobody, `${network}${i}`)))
  t.same(await request({ email: emailOf(another) }, `${network}ffff`), requested)
  await work(app)
  t.same(mails, [], 'the 51st is ignored')
  await request({ email: emailOf(another) })
  await work(app)
  take()
  t.match(await login(app, one.user.username), {}, 'which is no obstacle to a login')
})

t.test('a token works once, also in twenty requests at once', async t => {
  const { token, user } = await forgetful()
  const answers = await Promise.all(
    Array.from({ length: 20 }, async (_, i) => await confirm(token, `${next} ${i}`))
  )
  const used = answers.findIndex(({ statusCode }) => statusCode === 204)
  for (const [i, answer] of answers.entries())
    if (i !== used) t.match(answer.json(), unusable, `the ${i}th`)
  await t.resolves(login(app, user.username, `${next} ${used}`))
})

t.test('a token that does not work has one response, whatever the reason', async t => {
  const expired = await forgetful()
  await sql`update password_resets set expires_at = now() where user_id = ${expired.user.id}`
  const changed = await forgetful()
  await changed.admin(`PATCH /api/users/${changed.user.id}`, { password: 'a third harbour 49' })
  const own = await forgetful()
  await own.call('POST /api/auth/change-password', {
    current_password: password,
    new_password: 'a third harbour 49'
  })
  const disabled = await forgetful()
  await disabled.admin(`PATCH /api/users/${disabled.user.id}`, { status: 'disabled' })
  await disabled.admin(`PATCH /api/users/${disabled.user.id}`, { status: 'active' })
  const deleted = await forgetful()
  await deleted.admin(`DELETE /api/users/${deleted.user.id}`)
  await deleted.admin(`POST /api/users/${deleted.user.id}/restore`)
  const second = await forgetful()
  await request({ email: emailOf(second) })
  await work(app)
  t.equal((await confirm(take().token)).statusCode, 204, 'a later one works')
  const unknown = { token: 'x'.repeat(43) }
  const all = [expired, changed, own, disabled, deleted, second, unknown]
  const bodies = await Promise.all(all.map(async ({ token }) => (await confirm(token)).json()))
  for (const body of bodies) t.match(body, unusable)
  t.equal(new Set(bodies.map(({ request_id: _, ...body }) => JSON.stringify(body))).size, 1)
})

t.test('passwords are held to the same rules as at the creation of a user', async t => {
  const { token, user } = await forgetful()
  for (const [password, status] of [
    ['short', 400],
    ['iloveyou', 422],
    [user.username.toUpperCase(), 422],
    [`${user.username}@example.com`, 422]
  ] as const)
    t.match((await confirm(token, password)).json(), { status, errors: [{ pointer: '/password' }] })
  t.equal((await confirm(token)).statusCode, 204, 'after which the token still works')
})

t.test('a reset lifts the limits of failed logins', async t => {
  const { token, user } = await forgetful()
  const { username } = user
  const guess = async (password: string) =>
    (await anybody('POST /api/auth/login', { username, password })).statusCode
  for (let i = 0; i < 20; i++) await guess('wrong password')
  t.equal(await guess(password), 429)
  await confirm(token)
  t.equal(await guess(next), 200)
})

t.test('a mail that was refused is sent later with another token, within an hour', async t => {
  const { user } = await organization(app)
  const one = await user('user')
  const retry = async () => {
    await sql`select graphile_worker.reschedule_jobs(array(select id from graphile_worker.jobs),
      run_at => now())`
    await work(app).catch(() => {})
  }
  await request({ email: emailOf(one) })
  refuse(2)
  await t.rejects(work(app), /try again later/)
  const [first] = await sql`select token_hash from password_resets where user_id = ${one.user.id}`
  await retry()
  t.same(mails, [])
  await retry()
  const { token } = take()
  t.not(hashOf(token), first!.token_hash)
  t.equal((await confirm(token)).statusCode, 204)

  await request({ email: emailOf(one) })
  await sql`update password_resets set created_at = now() - interval '61 minutes'`
  await work(app)
  t.same(mails, [], 'but not when nobody waits for it any more')
})

t.test('tokens and passwords are in no job, log, event or response', async t => {
  const lines: string[] = []
  const logger = (await import('pino')).pino(
    { level: 'trace' },
    { write: line => lines.push(line) }
  )
  const app = await application(t, { mail: settings }, logger)
  const { call, user } = await organization(app)
  const one = await user('user')
  const anybody = caller(app)
  await anybody('POST /api/auth/password-resets', { email: emailOf(one) })
  const jobs = await app.services.database.pool`
    select to_jsonb(j) as job from graphile_worker._private_jobs j`
  t.equal(jobs.length, 1)
  await work(app)
  const { token } = take()
  const secret = 'a most secret harbour 50'
  const wrong = await confirm('x'.repeat(43), secret, app)
  const done = await confirm(token, secret, app)
  t.same([wrong.statusCode, done.statusCode], [422, 204])
  const history = await call(`GET /api/users/${one.user.id}/history`)
  const events = await app.services.database.pool`select to_jsonb(e) as event from events e`
  const told = JSON.stringify([jobs, lines, events, wrong.body, history.body])
  t.match(told, /password-resets.*user\.updated/s)
  for (const hidden of [token, hashOf(token), secret]) t.notOk(told.includes(hidden))
  t.match(history.json().data[0], { actor_id: one.user.id }, 'the user changed it')
})

t.test('without a mail server nothing is looked for or stored', async (t: Test) => {
  const app = await application(t)
  const { user } = await organization(app)
  const one = await user('user')
  const answer = await caller(app)('POST /api/auth/password-resets', { email: emailOf(one) })
  t.same([answer.statusCode, answer.body], [202, ''])
  t.same(await app.services.database.pool`select 1 from password_resets`, [])
})

t.test('resets that have expired are deleted', async t => {
  const { user } = await forgetful()
  await sql`update password_resets set expires_at = now() - interval '1 second'
    where user_id = ${user.id}`
  await deleteExpired(app.services.database)
  t.same(await sql`select 1 from password_resets where user_id = ${user.id}`, [])
})
