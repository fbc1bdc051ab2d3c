// What follows for users: passwords that are no way in any more, and identities that they unlink.
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { application, bearer, caller, login, organization, password } from '../../support/app.ts'
import { mailbox } from '../../support/mailbox.ts'
import { browser, provider, settings, setUp } from '../../support/provider.ts'

const mails = await mailbox(t)
const app = await application(t, { ...settings, mail: mails.settings })
const sql = app.services.database.pool
const idp = await provider(t)
const path = '/api/identity-providers'

t.test('who must sign in by the provider cannot log in by a password', async t => {
  const { call, slug, admin } = await organization(app)
  const id = await setUp(call, idp, { enforce: true })
  const refused = async (body: object, request = 'POST /api/auth/login') =>
    (await caller(app)(request, body)).json()
  const email = 'employee@example.com'
  await call('POST /api/users', { username: 'employee', email, password })
  t.match(await refused({ username: 'employee', password }), {
    status: 403,
    code: 'sign_in_enforced'
  })
  const wrong = await refused({ username: 'employee', password: 'wrong' })
  const nobody = await refused({ username: 'nobody at all', password: 'wrong' })
  t.same({ ...wrong, request_id: 0 }, { ...nobody, request_id: 0 }, 'nothing tells who that is')
  const form = `grant_type=password&username=employee&password=${encodeURIComponent(password)}`
  const token = await app.inject({
    method: 'POST',
    url: '/api/auth/token',
    payload: form,
    headers: { 'content-type': 'application/x-www-form-urlencoded' }
  })
  t.match([token.statusCode, token.json()], [400, { error: 'invalid_grant' }])
  t.ok(await login(app, admin.user.username), 'an admin still can')
  const contractor = { username: 'contractor', email: 'c@contractors.example', password }
  await call('POST /api/users', contractor)
  t.ok(await login(app, 'contractor'), 'and people of other domains')

  const invited = { email: 'new@example.com', role: 'viewer' }
  const { id: invitation_id } = (await call('POST /api/invitations', invited)).json()
  const token_of_mail = 'a'.repeat(43)
  const hash = createHash('sha256').update(token_of_mail).digest('hex')
  await sql`update invitations set token_hash = ${hash} where id = ${invitation_id}`
  const accepting = { token: token_of_mail, password }
  t.match(await refused(accepting, 'POST /api/auth/invitations/accept'), {
    code: 'sign_in_enforced'
  })
  idp.claims = { sub: 'new', email: 'NEW@example.com', email_verified: true }
  t.equal((await browser(app).signIn(slug)).user.role, 'viewer')
  idp.claims = { sub: 'employee', email, email_verified: true }
  t.equal((await browser(app).signIn(slug)).user.username, 'employee')
  await call(`PATCH ${path}/${id}`, { is_active: false })
  t.ok(await login(app, 'employee'), 'a provider that is off enforces nothing')
})

t.test('one unlinks oneself, unless it is the only way in', async t => {
  const { call, user, slug } = await organization(app)
  const first = await setUp(call, idp)
  const second = await setUp(call, idp)
  idp.claims = { sub: '7', email: 'seven@example.com', email_verified: true }
  const session = await browser(app).signIn(slug)
  await browser(app).signIn(slug, { provider_id: String(second) })
  const me = caller(app, bearer(session.token))
  const { data } = (await me('GET /api/auth/identities')).json()
  t.match(data, [{ provider_id: first }, { provider_id: second }])
  const other = await user('user')
  t.equal((await other.call(`DELETE /api/auth/identities/${data[0].id}`)).statusCode, 404)
  t.equal((await me(`DELETE /api/auth/identities/${data[0].id}`)).statusCode, 204)
  t.equal((await me(`DELETE /api/auth/identities/${data[1].id}`)).statusCode, 409)
  t.match((await call('GET /api/audit?type=identity.linked')).json().data, [
    { subject_id: session.user.id, details: { provider_id: second } },
    { details: { provider_id: first } }
  ])
  t.match((await call('GET /api/audit?type=identity.unlinked')).json().data, [
    {
      subject_id: session.user.id,
      actor_id: session.user.id,
      details: { identity_ids: [data[0].id] }
    }
  ])
  const logins = `type=login.succeeded&subject=user/${session.user.id}`
  t.match((await call(`GET /api/audit?${logins}`)).json().data, [
    { details: { provider_id: second } },
    { details: { provider_id: first } }
  ])
  t.match((await me('GET /api/auth/identities')).json().data, [{ id: data[1].id }])
  await call(`PATCH /api/users/${session.user.id}`, { password })
  const again = caller(app, bearer((await login(app, 'seven@example.com')).token))
  t.equal((await again(`DELETE /api/auth/identities/${data[1].id}`)).statusCode, 204)
  t.equal((await again('GET /api/users/1/identities')).statusCode, 403)
})

t.test('an identity that cannot be used is no way in', async t => {
  const { call, slug } = await organization(app)
  const first = await setUp(call, idp)
  const second = await setUp(call, idp)
  idp.claims = { sub: '8', email: 'eight@example.com', email_verified: true }
  const session = await browser(app).signIn(slug)
  await browser(app).signIn(slug, { provider_id: String(second) })
  await call(`PATCH ${path}/${second}`, { is_active: false })
  const me = caller(app, bearer(session.token))
  const { data } = (await me('GET /api/auth/identities')).json()
  t.match(data[0], { provider_id: first })
  t.equal((await me(`DELETE /api/auth/identities/${data[0].id}`)).statusCode, 409)
})

t.test('a change of the password goes on with a session that a provider began', async t => {
  const { call, slug } = await organization(app)
  await setUp(call, idp)
  idp.claims = { sub: '9', email: 'nine@example.com', email_verified: true }
  const { token, user } = await browser(app).signIn(slug)
  await call(`PATCH /api/users/${user.id}`, { password })
  const next = (await browser(app).signIn(slug)).token
  await call('PATCH /api/organization', { second_factor: 'required' })
  t.not(token, next)
  const changed = await caller(app, bearer(next))('POST /api/auth/change-password', {
    current_password: password,
    new_password: 'another harbour 48'
  })
  const after = caller(app, bearer(changed.json().token))
  t.equal((await after('GET /api/contacts')).statusCode, 200, 'the second factor is there')
})

t.test('a provider that could not be reached is asked again after some seconds', async t => {
  const { call, slug } = await organization(app)
  const own = await provider(t)
  await setUp(call, own)
  const { port } = own.server.address()
  await own.server.stop()
  const start = async () => String((await browser(app).start(slug)).headers.location)
  t.match(await start(), /error=provider_unavailable/)
  await own.server.start(port, '127.0.0.1')
  await sleep(3_000)
  t.match(await start(), /error=provider_unavailable/, 'not by each request of a stranger')
  await sleep(3_000)
  t.match(await start(), own.issuer, 'who do not keep it that way either')
})

t.test('no password is reset of who must sign in by the provider', async t => {
  const { call } = await organization(app)
  const email = 'forgetful@example.com'
  await call('POST /api/users', { username: 'forgetful', email, password })
  const requested = async () => {
    const answer = await caller(app)('POST /api/auth/password-resets', { email })
    t.match([answer.statusCode, answer.body], [202, ''], 'the response is the same')
    return (await sql`delete from password_resets returning id`).length
  }
  t.equal(await requested(), 1)
  const id = await setUp(call, idp, { enforce: true })
  t.equal(await requested(), 0)
  await call(`DELETE ${path}/${id}`)
  t.equal(await requested(), 1)
})
