// Signing in by an identity provider: who becomes whom, and with which roles.
import t from 'tap'
import { application, bearer, caller, organization, password } from '../../support/app.ts'
import { browser, provider, roleNamed, settings, setUp } from '../../support/provider.ts'

const app = await application(t, settings)
const sql = app.services.database.pool
const idp = await provider(t)

let people = 0
/** A person at the provider whom nobody knows yet. */
const somebody = (more: object = {}) => {
  const sub = `subject-${++people}`
  return { sub, email: `person-${people}@example.com`, email_verified: true, ...more }
}
/** An organization with a provider, and what the next person to sign in says. */
async function installed(more: object = {}, claims: object = {}) {
  const one = await organization(app)
  const provider_id = await setUp(one.call, idp, more)
  const person = somebody(claims)
  idp.claims = person
  return { ...one, provider_id, person }
}
const errorOf = async (slug: string) => (await browser(app).arrive(slug)).error
const usersOf = async (organization_id: number) =>
  await sql`select id from users where organization_id = ${organization_id}`

t.test('a person signs in, becomes a user, and stays that one', async t => {
  const names = { given_name: 'Maria\0', family_name: ` ${'R'.repeat(60)}` }
  const { call, slug, id, person } = await installed({ name: 'Okta' }, names)
  const page = browser(app)
  const { sign_in_code, tab, ...others } = await page.arrive(slug)
  t.same([tab, others], ['1', {}], 'the front end gets a code, and keeps its parameters')
  const answer = await page.exchange(sign_in_code!)
  const { token, user, expires_in } = answer.json()
  t.match(
    [answer.statusCode, expires_in, user.username, user.role],
    [200, 900, person.email, 'user']
  )
  const me = caller(app, bearer(token))
  t.match((await me('GET /api/auth/me')).json(), {
    email: person.email,
    first_name: 'Maria',
    last_name: 'R'.repeat(50)
  })
  const again = await browser(app).signIn(slug)
  t.equal(again.user.id, user.id)
  t.equal((await usersOf(id)).length, 2, 'the admin and one more')
  t.match((await me('GET /api/auth/identities')).json().data, [
    { provider: 'Okta', email: person.email }
  ])
  const asked = idp.requests.at(-1)!.body
  t.match(asked, { client_id: 'smartx-crm', code_verifier: /^[\w-]{43}$/ })
  t.match((await call(`GET /api/users/${user.id}/history`)).json().data, [
    { type: 'user.created', actor: null }
  ])
})

t.test('ten first sign-ins of a person at once make one user', async t => {
  const { slug, id } = await installed()
  const sessions = await Promise.all(
    Array.from({ length: 10 }, async () => await browser(app).signIn(slug))
  )
  t.equal(new Set(sessions.map(({ user }) => user.id)).size, 1)
  t.equal((await usersOf(id)).length, 2)
})

t.test('an existing user of a verified address is linked, and keeps their role', async t => {
  const { slug, user } = await installed()
  const viewer = await user('viewer')
  idp.claims = somebody({ email: `${viewer.user.username}@EXAMPLE.com`.toUpperCase() })
  t.match((await browser(app).signIn(slug)).user, viewer.user)
  const { data } = (await viewer.call('GET /api/auth/identities')).json()
  t.equal(data.length, 1, 'the account of before has the identity')
})

t.test('an address proves nothing unless the provider has verified it', async t => {
  const { slug, id, call, provider_id, person } = await installed()
  for (const [claims, error] of [
    [{ email_verified: false }, 'email_unverified'],
    [{ email_verified: undefined }, 'email_unverified'],
    [{ email_verified: 'false' }, 'email_unverified'],
    [{ email_verified: 1 }, 'email_unverified'],
    [{ email: 'not an address' }, 'email_missing'],
    [{ email: ['a@example.com'] }, 'email_missing'],
    [{ email: `${'a'.repeat(64)}@${'b'.repeat(60)}.example.com` }, 'email_missing'],
    [{ email: 'maria@sub.example.com' }, 'domain_not_allowed'],
    [{ email: 'maria@example.com.evil.example' }, 'domain_not_allowed'],
    [{ email: 'maria@notexample.com' }, 'domain_not_allowed'],
    [{ sub: 's'.repeat(256) }, 'invalid_response']
  ] as const) {
    idp.claims = { ...person, ...claims }
    t.equal(await errorOf(slug), error, JSON.stringify(claims))
  }
  t.equal((await usersOf(id)).length, 1, 'nobody became a user')

  await call(`PATCH /api/identity-providers/${provider_id}`, { trusts_email: true })
  idp.claims = { ...person, email_verified: false }
  t.equal(await errorOf(slug), 'email_unverified', 'not even where addresses are trusted')
  idp.claims = { ...person, email_verified: undefined }
  t.equal((await browser(app).signIn(slug)).user.username, person.email)
  idp.claims = { ...person, email: 'maria@elsewhere.example' }
  t.equal(await errorOf(slug), 'domain_not_allowed', 'also of a user who was linked before')
})

t.test('a domain is compared in its ASCII form', async t => {
  const { slug } = await installed({ allowed_domains: ['xn--mller-kva.example'] })
  idp.claims = somebody({ email: 'maria@Müller.example' })
  t.equal((await browser(app).signIn(slug)).user.username, 'maria@Müller.example')
})

t.test('what the ID token lacks comes from the userinfo endpoint', async t => {
  const { slug, person } = await installed()
  idp.claims = { sub: person.sub }
  t.equal(await errorOf(slug), 'email_missing')
  idp.userinfo = { ...person, sub: 'another' }
  t.equal(await errorOf(slug), 'invalid_response', 'unless it is about somebody else')
  idp.userinfo = person
  t.equal((await browser(app).signIn(slug)).user.username, person.email)
  idp.userinfo = {}
})

t.test('disabled and deleted users are refused, and service accounts', async t => {
  const { slug, call } = await installed()
  const { user } = await browser(app).signIn(slug)
  await call(`PATCH /api/users/${user.id}`, { status: 'disabled' })
  t.equal(await errorOf(slug), 'user_refused')
  await call(`DELETE /api/users/${user.id}`)
  t.equal(await errorOf(slug), 'user_refused', 'a deleted user is not made anew')
  await call(`POST /api/users/${user.id}/restore`)
  await call(`PATCH /api/users/${user.id}`, { status: 'active' })
  t.equal((await browser(app).signIn(slug)).user.id, user.id)

  await call(`DELETE /api/users/${user.id}`)
  const again = await call('POST /api/users', { username: 'again', email: user.username, password })
  t.equal((await browser(app).signIn(slug)).user.id, again.json().id, 'unless somebody did so')
  await call(`DELETE /api/users/${again.json().id}`)
  await call('POST /api/invitations', { email: user.username, role: 'viewer' })
  t.equal((await browser(app).signIn(slug)).user.role, 'viewer', 'or has invited them')

  const email = 'robot@example.com'
  await call('POST /api/users', { username: 'robot', email, kind: 'service' })
  idp.claims = somebody({ email })
  t.equal(await errorOf(slug), 'user_refused')
  t.same(await sql`select from external_identities where email = ${email}`, [])
})

t.test('an address that another account of the provider has got is no way in', async t => {
  const { slug, call, person } = await installed()
  const { user } = await browser(app).signIn(slug)
  idp.claims = { ...person, sub: 'the next one of this address' }
  t.equal(await errorOf(slug), 'identity_conflict')
  await call(`DELETE /api/users/${user.id}/identities`)
  t.equal((await browser(app).signIn(slug)).user.id, user.id, 'unless an admin has unlinked it')
})

t.test('each organization and each provider has its own users', async t => {
  const first = await installed()
  const second = await organization(app)
  const other = await setUp(second.call, idp)
  const one = await browser(app).signIn(first.slug)
  const two = await browser(app).signIn(second.slug)
  t.not(one.user.id, two.user.id)
  t.equal((await browser(app).start(first.slug, { provider_id: String(other) })).statusCode, 404)
  t.equal((await browser(app).start('no-such-organization')).statusCode, 404)

  const more = await setUp(first.call, idp, { name: 'Second' })
  const linked = await browser(app).signIn(first.slug, { provider_id: String(more) })
  t.equal(linked.user.id, one.user.id, 'a user can have an identity of each')
  const listed = await app.inject(`/api/auth/sign-in/${first.slug}/providers`)
  t.match(listed.json().data, [{ id: first.provider_id }, { id: more, name: 'Second' }])
  t.same(Object.keys(listed.json().data[0]), ['id', 'name'], 'and nothing else is shown')
  t.same((await app.inject('/api/auth/sign-in/nobody/providers')).json(), { data: [] })
})

t.test('roles follow a claim, at each sign-in', async t => {
  const { slug, call, provider_id, person } = await installed()
  const [viewer, manager] = [await roleNamed(call, 'viewer'), await roleNamed(call, 'manager')]
  const role_mapping = [
    { value: 'bosses', role_id: manager },
    { value: 'readers', role_id: viewer },
    { value: 'guests', role_id: viewer }
  ]
  await call(`PATCH /api/identity-providers/${provider_id}`, { role_claim: 'groups', role_mapping })
  const rolesWith = async (claims: object) => {
    idp.claims = { ...person, ...claims }
    const { user } = await browser(app).signIn(slug)
    return (await call(`GET /api/users/${user.id}`)).json().role_ids
  }
  t.same(await rolesWith({ groups: ['guests', 'readers', 'x', 7] }), [viewer])
  t.same(await rolesWith({ groups: ['readers', 'bosses'] }), [manager, viewer])
  t.same(await rolesWith({ groups: 'readers' }), [viewer], 'a single text')
  const { version } = (await call('GET /api/users?sort=-id&limit=1')).json().data[0]
  t.same(await rolesWith({ groups: 'readers' }), [viewer])
  t.match((await call('GET /api/users?sort=-id&limit=1')).json().data, [{ version }])
  t.same(await rolesWith({ groups: [] }), [await roleNamed(call, 'user')], 'the default one')
  await call(`PATCH /api/identity-providers/${provider_id}`, { default_role_id: null })
  idp.claims = { ...person, groups: ['x'] }
  t.equal(await errorOf(slug), 'no_role')
  await call(`PATCH /api/identity-providers/${provider_id}`, { role_claim: 'realm_access.roles' })
  t.same(await rolesWith({ realm_access: { roles: ['readers'] } }), [viewer])
  t.same(await rolesWith({ 'realm_access.roles': ['bosses'] }), [manager])
  idp.claims = { ...person, realm_access: null }
  t.equal(await errorOf(slug), 'no_role')
})

t.test('the last admin stays one, whatever the claim says', async t => {
  const { slug, call, admin, provider_id } = await installed()
  const role_mapping = [{ value: 'readers', role_id: await roleNamed(call, 'viewer') }]
  await call(`PATCH /api/identity-providers/${provider_id}`, { role_claim: 'groups', role_mapping })
  idp.claims = somebody({ email: `${admin.user.username}@example.com`, groups: ['readers'] })
  t.match((await browser(app).signIn(slug)).user, { id: admin.user.id, role: 'admin' })
})

t.test('without a default role, only users and people who are invited sign in', async t => {
  const { slug, call, id, person } = await installed({ default_role_id: null })
  t.equal(await errorOf(slug), 'no_role')
  t.equal((await usersOf(id)).length, 1)
  const team = (await call('POST /api/teams', { name: 'Sales', member_ids: [] })).json().id
  const wish = { email: person.email.toUpperCase(), role: 'viewer', team_ids: [team] }
  const invited = (await call('POST /api/invitations', wish)).json()
  await sql`update invitations set expires_at = now() where id = ${invited.id}`
  t.equal(await errorOf(slug), 'no_role', 'an invitation that has expired')
  await sql`update invitations set expires_at = now() + interval '1 day' where id = ${invited.id}`
  const { user } = await browser(app).signIn(slug)
  t.equal(user.role, 'viewer')
  t.same((await call(`GET /api/teams/${team}`)).json().member_ids, [user.id])
  t.same((await call('GET /api/invitations')).json().data, [], 'it is accepted')
  const accepted = { token: invited.token, password }
  t.equal((await caller(app)('POST /api/auth/invitations/accept', accepted)).statusCode, 422)
})
