import t from 'tap'
import { application, bearer, caller, database, organization } from '../../support/app.ts'

const database_url = await database(t)
const app = await application(t, { database_url })

t.test('a disabled user has no session, even if sessions were not ended', async t => {
  const { user } = await organization(app)
  const { token, refresh_token, user: disabled } = await user('user')
  // changed in psql, for example: the API ends the sessions, too
  await app.services.database.pool`update users set status = 'disabled' where id = ${disabled.id}`
  const other = await application(t, { database_url }) // which has not seen the token before
  const me = await caller(other, bearer(token))('GET /api/auth/me')
  t.match([me.statusCode, me.json()], [401, { code: 'session_ended' }])
  const refreshed = await caller(other)('POST /api/auth/refresh', { refresh_token })
  t.equal(refreshed.statusCode, 401)
})

t.test('a deleted user has no session, even if sessions were not ended', async t => {
  const { user } = await organization(app)
  const { token, refresh_token, user: deleted } = await user('user')
  await app.services.database.pool`update users set deleted_at = now() where id = ${deleted.id}`
  const other = await application(t, { database_url })
  t.equal((await caller(other, bearer(token))('GET /api/auth/me')).statusCode, 401)
  const refreshed = await caller(other)('POST /api/auth/refresh', { refresh_token })
  t.equal(refreshed.statusCode, 401)
})
