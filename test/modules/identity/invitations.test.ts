// How people become users: invited by mail, or by a token that an admin passes on.
import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { application, bearer, caller, organization, password, work } from '../../support/app.ts'
import { mailbox } from '../../support/mailbox.ts'

const app = await application(t)
const anybody = caller(app)
const sql = app.services.database.pool
const hashOf = (token: string) => createHash('sha256').update(token).digest('hex')

let people = 0
const address = () => `guest-${++people}@example.com`
const accept = async (token: string, more: object = {}) =>
  await anybody('POST /api/auth/invitations/accept', { token, password, ...more })
const unusable = {
  status: 422,
  code: 'rule_broken',
  errors: [{ pointer: '/token', params: { rule: 'one_time_token' } }]
}

t.test('an admin invites a person, who becomes a user with the role', async t => {
  const { call, admin } = await organization(app)
  const email = address()
  const invited = await call('POST /api/invitations', { email, role: 'viewer' })
  const { token, ...invitation } = invited.json()
  t.match(
    [invited.statusCode, invited.headers],
    [201, { location: `/api/invitations/${invitation.id}`, etag: '"1"' }]
  )
  t.match(invitation, {
    email,
    role: 'viewer',
    created_by: admin.user.id,
    sent_at: null,
    user_id: null
  })
  t.match(token, /^[\w-]{43}$/)
  t.equal(Date.parse(invitation.expires_at) - Date.parse(invitation.created_at), 7 * 86_400_000)
  t.same((await call('GET /api/invitations')).json().data, [invitation], 'without the token')
  t.same((await call(`GET /api/invitations/${invitation.id}`)).json(), invitation)

  const answer = await accept(token, { first_name: 'Paolo', last_name: 'Verdi' })
  t.match(
    [answer.statusCode, answer.json()],
    [200, { expires_in: 900, user: { username: email, role: 'viewer' } }]
  )
  const me = caller(app, bearer(answer.json().token))
  t.match((await me('GET /api/auth/me')).json(), {
    email,
    first_name: 'Paolo',
    last_name: 'Verdi',
    role: 'viewer'
  })
  const { refresh_token } = answer.json()
  t.equal((await anybody('POST /api/auth/refresh', { refresh_token })).statusCode, 200)
  t.equal((await anybody('POST /api/auth/login', { username: email, password })).statusCode, 200)
  t.same((await call('GET /api/invitations')).json().data, [], 'it is not open any more')
  t.match((await call('GET /api/invitations?deleted=true')).json().data, [
    { id: invitation.id, user_id: answer.json().user.id }
  ])
})

t.test('an invitation is to several roles, and to teams', async t => {
  const { call, admin } = await organization(app)
  const roles = (await call('GET /api/roles?sort=id')).json().data as { id: number; name: string }[]
  const [, manager, , viewer] = roles
  const team = async (name: string) =>
    (await call('POST /api/teams', { name, member_ids: [admin.user.id] })).json().id as number
  const [sales, closed] = [await team('Sales'), await team('Closed')]
  const email = address()
  const role_ids = [viewer!.id, manager!.id]
  const wish = { email, role_ids, team_ids: [sales, closed] }
  const invited = await call('POST /api/invitations', wish)
  t.match(invited.json(), { role: 'viewer', role_ids, team_ids: [sales, closed] })
  await call(`DELETE /api/teams/${closed}`)
  const { user } = (await accept(invited.json().token)).json()
  t.match((await call(`GET /api/users/${user.id}`)).json(), { role: 'viewer', role_ids })
  t.same((await call(`GET /api/teams/${sales}`)).json().member_ids, [admin.user.id, user.id])

  const refused = async (more: object) =>
    (await call('POST /api/invitations', { email: address(), ...more })).json()
  t.match(await refused({ team_ids: [closed] }), {
    status: 422,
    errors: [{ pointer: '/team_ids/0' }]
  })
  t.match(await refused({ role_ids: [999999] }), {
    status: 422,
    errors: [{ pointer: '/role_ids/0' }]
  })
  t.match(await refused({ role: 'admin', role_ids: [viewer!.id] }), { status: 422 })
})

t.test('without a role, a person is invited as a user; with a name, they log in by it', async t => {
  const { call } = await organization(app)
  const email = address()
  const { token, role } = (await call('POST /api/invitations', { email })).json()
  t.equal(role, 'user')
  const { user } = (await accept(token, { username: `paolo-${people}` })).json()
  t.match(user, { username: `paolo-${people}`, role: 'user' })
})

t.test('a token that does not work has one response, whatever the reason', async t => {
  const { call } = await organization(app)
  const invite = async (email = address()) =>
    (await call('POST /api/invitations', { email })).json()
  const [used, withdrawn, expired, replaced] = await Promise.all([1, 2, 3, 4].map(() => invite()))
  await accept(used.token)
  await call(`DELETE /api/invitations/${withdrawn.id}`)
  await sql`update invitations set expires_at = now() where id = ${expired.id}`
  const next = await invite(replaced.email.toUpperCase())
  const answers = [used, withdrawn, expired, replaced, { token: 'x'.repeat(43) }].map(
    async ({ token }) => await accept(token)
  )
  const bodies = (await Promise.all(answers)).map(answer => answer.json())
  for (const body of bodies) t.match(body, unusable)
  t.equal(new Set(bodies.map(({ request_id: _, ...body }) => JSON.stringify(body))).size, 1)
  t.equal((await accept(next.token)).statusCode, 200, 'the one that replaced another works')
})

t.test('a token works once, also in twenty requests at once', async t => {
  const { call } = await organization(app)
  const { token } = (await call('POST /api/invitations', { email: address() })).json()
  const answers = await Promise.all(
    Array.from({ length: 20 }, async (_, i) => await accept(token, { username: `one-of-${i}` }))
  )
  const accepted = answers.filter(({ statusCode }) => statusCode === 200)
  t.equal(accepted.length, 1)
  for (const answer of answers.filter(one => one !== accepted[0])) t.match(answer.json(), unusable)
  const { data } = (await call('GET /api/users')).json()
  t.equal(data.length, 2, 'the admin and one more')
})

t.test(
  'an address has one open invitation, also when it is invited twenty times at once',
  async t => {
    const { call, id } = await organization(app)
    const email = address()
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => await call('POST /api/invitations', { email }))
    )
    t.same([...new Set(answers.map(({ statusCode }) => statusCode))], [201])
    const { data } = (await call('GET /api/invitations')).json()
    t.equal(data.length, 1)
    const results = await Promise.all(
      answers.map(async answer => (await accept(answer.json().token)).statusCode)
    )
    t.same(results.toSorted((a, b) => a - b).slice(0, 2), [200, 422], 'and one token')
    await t.rejects(
      sql`insert into invitations (organization_id, email, role, role_ids, expires_at)
      select organization_id, upper(email), role, role_ids, now() from invitations,
        generate_series(1, 2) where organization_id = ${id}`,
      { code: '23505', constraint_name: 'invitations_email_unique' },
      'whatever the code does'
    )
  }
)

t.test('a person who accepts while they are invited again is a user, or invited', async t => {
  const { call } = await organization(app)
  for (let i = 0; i < 5; i++) {
    const email = address()
    const { token } = (await call('POST /api/invitations', { email })).json()
    const answers = await Promise.all([accept(token), call('POST /api/invitations', { email })])
    const outcome = answers.map(({ statusCode }) => statusCode).join()
    t.ok(['200,409', '422,201'].includes(outcome), outcome)
  }
})

t.test('an invitation that cannot lead to a user is refused', async t => {
  const { call, user } = await organization(app)
  const { user: colleague } = await user('viewer')
  const email = `${colleague.username}@Example.com`
  const invite = async (body: object) => (await call('POST /api/invitations', body)).json()
  t.match(await invite({ email }), {
    status: 409,
    code: 'duplicate',
    errors: [{ pointer: '/email' }]
  })
  t.match(await invite({ email: address(), role: 'root' }), {
    status: 422,
    code: 'unknown_reference',
    errors: [{ pointer: '/role' }]
  })
  for (const email of ['nobody', 'a@example.com\r\nBcc: b@example.com', 'a@example.com, b@c.org'])
    t.match(await invite({ email }), { status: 400, errors: [{ pointer: '/email' }] })
})

t.test('passwords and names are held to the same rules as those of other users', async t => {
  const { call, admin } = await organization(app)
  const email = address()
  const { token } = (await call('POST /api/invitations', { email })).json()
  for (const [body, status, pointer] of [
    [{ password: 'short' }, 400, '/password'],
    [{ password: 'iloveyou' }, 422, '/password'],
    [{ password: email }, 422, '/password'],
    [{ username: 'harborkeeper', password: 'HarborKeeper' }, 422, '/password'],
    [{ username: admin.user.username }, 409, '/username'],
    [{ username: 'x@example.com' }, 422, '/username'],
    [{ username: ' ' }, 400, '/username']
  ] as const)
    t.match((await accept(token, body)).json(), { status, errors: [{ pointer }] })
  t.equal((await accept(token)).statusCode, 200, 'after which the token still works')
})

t.test('an address that is too long for a username needs one', async t => {
  const { call } = await organization(app)
  const email = `${'a'.repeat(60)}@${'b'.repeat(40)}.example.com`
  const { token } = (await call('POST /api/invitations', { email })).json()
  t.match((await accept(token)).json(), { status: 422, errors: [{ pointer: '/username' }] })
  t.equal((await accept(token, { username: 'short' })).statusCode, 200)
})

t.test('only admins invite, and see invitations', async t => {
  const { call, user } = await organization(app)
  const other = await organization(app)
  const { id } = (await call('POST /api/invitations', { email: address() })).json()
  for (const role of ['user', 'viewer', 'manager']) {
    const { call } = await user(role)
    for (const [request, body] of [
      ['POST /api/invitations', { email: address() }],
      ['GET /api/invitations'],
      [`GET /api/invitations/${id}`],
      [`DELETE /api/invitations/${id}`]
    ] as [string, object?][])
      t.equal((await call(request, body)).statusCode, 403, `${request} as ${role}`)
  }
  t.equal((await other.call(`GET /api/invitations/${id}`)).statusCode, 404)
  t.equal((await other.call(`DELETE /api/invitations/${id}`)).statusCode, 404)
  t.same((await other.call('GET /api/invitations')).json().data, [])
})

t.test('organizations invite the same person independently', async t => {
  const [ours, theirs] = [await organization(app), await organization(app)]
  const email = address()
  const [a, b] = await Promise.all(
    [ours, theirs].map(async ({ call }) => (await call('POST /api/invitations', { email })).json())
  )
  for (const [{ token }, { id }] of [
    [a, ours],
    [b, theirs]
  ]) {
    const session = (await accept(token)).json()
    const me = await anybody('GET /api/auth/me', undefined, bearer(session.token))
    t.equal(me.json().organization.id, id)
  }
})

t.test('a role that someone is invited to is not deleted, and may be renamed', async t => {
  const { call } = await organization(app)
  const role = (await call('POST /api/roles', { name: 'Assistant', grants: [] })).json()
  const email = address()
  const { token, id } = (await call('POST /api/invitations', { email, role: 'Assistant' })).json()
  t.match((await call(`DELETE /api/roles/${role.id}`)).json(), {
    status: 409,
    detail: /invitation/
  })
  await call(`PATCH /api/roles/${role.id}`, { name: 'Helper' })
  t.equal((await call(`GET /api/invitations/${id}`)).json().role, 'Helper')
  t.match((await accept(token)).json(), { user: { role: 'Helper' } })
})

t.test('tokens are stored as hashes, and are in no event', async t => {
  const { call } = await organization(app)
  const invited = await call('POST /api/invitations', { email: address() })
  const { token, id } = invited.json()
  t.equal(invited.headers['cache-control'], 'no-store')
  const [row] = await sql`select * from invitations where id = ${id}`
  t.equal(row!.token_hash, hashOf(token))
  t.notOk(JSON.stringify(row).includes(token))
  await accept(token)
  const events = JSON.stringify(await sql`select * from events`)
  t.match(events, /invitation\.created.*invitation\.deleted/s)
  for (const secret of [token, hashOf(token), password]) t.notOk(events.includes(secret))
})

t.test('where mail can be sent', async t => {
  const { settings, mails, take, refuse } = await mailbox(t)
  const invited = async (t: Test, mail = settings) => {
    const app = await application(t, { mail })
    const { call } = await organization(app)
    const email = address()
    const answer = await call('POST /api/invitations', { email })
    t.equal(answer.statusCode, 201)
    return { app, call, email, invitation: answer.json() }
  }

  await t.test('an invitation is mailed, and its token is nowhere else', async t => {
    const { app, call, email, invitation } = await invited(t)
    t.notHas(invitation, 'token')
    const jobs = JSON.stringify(
      await app.services.database.pool`
      select * from graphile_worker._private_jobs`
    )
    await work(app)
    const mail = take()
    t.same([mail.to, mail.subject], [[email], 'Invitation to Test'])
    t.match(mail.source, /^From: "Acme, CRM" <crm@example.com>\r$/m)
    t.match(mail.source, /^Content-Type: text\/plain; charset=utf-8\r$/m)
    t.ok(mail.text.includes(`\nhttps://app.example.com/accept-invitation?token=${mail.token}\r\n`))
    t.match(mail.text, new RegExp(`until ${invitation.expires_at.slice(0, 10)}`))
    t.notOk(jobs.includes(mail.token))
    const path = `/api/invitations/${invitation.id}`
    t.match((await call(`GET ${path}`)).json().sent_at, /^\d{4}-/)
    const stored = await app.services.database.pool`select to_jsonb(e) as event from events e`
    for (const secret of [mail.token, hashOf(mail.token)])
      t.notOk(JSON.stringify(stored).includes(secret))
    const { token } = mail
    const accepted = await caller(app)('POST /api/auth/invitations/accept', { token, password })
    t.match(accepted.json(), { user: { username: email } })
  })

  await t.test('a mail that was refused is sent later, with another token', async t => {
    const { app, email, invitation, call } = await invited(t)
    const { pool } = app.services.database
    refuse(1)
    await t.rejects(work(app), /try again later/)
    t.same(mails, [])
    t.equal((await call(`GET /api/invitations/${invitation.id}`)).json().sent_at, null)
    const [{ hash }] = await pool<[{ hash: string }]>`select token_hash as hash from invitations`
    await pool`select graphile_worker.reschedule_jobs(array(select id from graphile_worker.jobs),
      run_at => now())`
    await work(app).catch(() => {})
    const mail = take()
    t.same(mail.to, [email])
    t.not(hashOf(mail.token), hash)
    const { token } = mail
    const accepted = await caller(app)('POST /api/auth/invitations/accept', { token, password })
    t.equal(accepted.statusCode, 200)
  })

  await t.test('an invitation that was withdrawn before its mail is not sent', async t => {
    const { app, call, invitation } = await invited(t)
    await call(`DELETE /api/invitations/${invitation.id}`)
    await work(app)
    t.same(mails, [])
  })

  await t.test('without a front end, the mail has the token and how to use it', async t => {
    const { app } = await invited(t, { ...settings, app_url: undefined })
    await work(app)
    const { token, text } = take()
    t.match(token, /^[\w-]{43}$/)
    t.match(text, /POST \/api\/auth\/invitations\/accept/)
    t.notMatch(text, /https?:/)
  })

  await t.test('a name of several lines stays one line of a mail', async t => {
    const { app } = await invited(t)
    await app.services.database
      .pool`update organizations set name = ${'Acme\r\nBcc: x@y.org\r\n\r\n!'}`
    await work(app)
    const { to, subject, source } = take()
    t.equal(to.length, 1)
    t.equal(subject, 'Invitation to Acme Bcc: x@y.org !')
    t.notMatch(source, /^Bcc/im)
  })
})
