// Who is logged in where, and how to end it.
import t from 'tap'
import { application, bearer, caller, organization, password } from '../../support/app.ts'

const app = await application(t)

/** A login from an address with a program; what is sent with its token comes from there, too. */
async function loginFrom(username: string, remoteAddress: string, client: string) {
  const answer = await app.inject({
    method: 'POST',
    url: '/api/auth/login',
    payload: { username, password },
    remoteAddress,
    headers: { 'user-agent': client }
  })
  const session = answer.json<{ token: string; refresh_token: string }>()
  return { ...session, call: caller(app, bearer(session.token)) }
}

interface Listed {
  id: number
  created_at: string
  last_used_at: string
  expires_at: string
  address: string
  client: string
  is_current: boolean
}

t.test('a user lists and ends their own sessions', async t => {
  const { user } = await organization(app)
  const [me, colleague] = [await user('viewer'), await user('user')]
  const phone = await loginFrom(me.user.username, '203.0.113.7', `Phone/1 ${'x'.repeat(300)}`)
  const list = async () => (await me.call('GET /api/auth/sessions')).json().data as Listed[]
  const sessions = await list()
  t.equal(sessions.length, 2)
  t.match(sessions, [
    { address: '203.0.113.7', client: /^Phone\/1 x{192}$/, is_current: false },
    { address: '127.0.0.1', is_current: true }
  ])
  const [elsewhere, here] = sessions
  t.equal(Date.parse(here!.expires_at) - Date.parse(here!.created_at), 30 * 86_400_000)

  const refreshed = await app.inject({
    method: 'POST',
    url: '/api/auth/refresh',
    payload: { refresh_token: phone.refresh_token },
    remoteAddress: '203.0.113.8',
    headers: { 'user-agent': 'Phone/2' }
  })
  t.equal(refreshed.statusCode, 200)
  const [used] = await list()
  t.match(used, { id: elsewhere!.id, address: '203.0.113.8', client: 'Phone/2' })
  t.ok(used!.last_used_at > elsewhere!.last_used_at)

  t.equal((await colleague.call(`DELETE /api/auth/sessions/${elsewhere!.id}`)).statusCode, 404)
  t.equal((await phone.call('GET /api/auth/me')).statusCode, 200, "another user's is not found")
  t.equal((await me.call(`DELETE /api/auth/sessions/${elsewhere!.id}`)).statusCode, 204)
  t.match((await phone.call('GET /api/auth/me')).json(), { status: 401, code: 'session_ended' })
  t.equal((await me.call(`DELETE /api/auth/sessions/${elsewhere!.id}`)).statusCode, 404)

  const others = [1, 2].map(async () => await loginFrom(me.user.username, '203.0.113.9', 'A'))
  const [one, two] = await Promise.all(others)
  t.equal((await me.call('DELETE /api/auth/sessions')).statusCode, 204)
  for (const { call } of [one!, two!]) t.equal((await call('GET /api/auth/me')).statusCode, 401)
  t.same(
    (await list()).map(({ id }) => id),
    [here!.id]
  )
  t.equal((await colleague.call('GET /api/auth/me')).statusCode, 200)
})

t.test('an admin lists and ends the sessions of a user of the organization', async t => {
  const [ours, theirs] = [await organization(app), await organization(app)]
  const worker = await ours.user('user')
  const path = `/api/users/${worker.user.id}/sessions`
  const listed = (await ours.call(`GET ${path}`)).json().data as Listed[]
  t.match(listed, [{ address: '127.0.0.1', is_current: false }])
  for (const method of ['GET', 'DELETE']) {
    t.equal((await worker.call(`${method} ${path}`)).statusCode, 403)
    t.equal((await theirs.call(`${method} ${path}`)).statusCode, 404)
  }
  t.equal((await worker.call('GET /api/auth/me')).statusCode, 200)
  t.equal((await ours.call(`DELETE ${path}`)).statusCode, 204)
  t.equal((await worker.call('GET /api/auth/me')).statusCode, 401)
  t.same((await ours.call(`GET ${path}`)).json().data, [])
  const [stored] = await app.services.database
    .pool`select version from users where id = ${worker.user.id}`
  t.equal(stored!.version, 1, 'which is no change of the user')
})
