import t from 'tap'
import { deleteExpired } from '../../../src/core/db/expiry.ts'
import { application, login, organization } from '../../support/app.ts'

const app = await application(t)
const { pool } = app.services.database

t.test('sessions that ended long ago are deleted with their tokens', async t => {
  const { admin } = await organization(app)
  const { user } = admin
  const rows = async () => {
    const [count] = await pool`select
      (select count(*)::int from sessions where user_id = ${user.id}) as sessions,
      (select count(*)::int from refresh_tokens r join sessions s on s.id = r.session_id
        where s.user_id = ${user.id}) as tokens`
    return count
  }
  await login(app, user.username)
  await pool`update sessions set expires_at = now() - interval '2 days'
    where id = (select min(id) from sessions where user_id = ${user.id})`
  await pool`insert into refresh_tokens (hash, session_id, used_at)
    select 'used ' || i, min(id), now() from sessions, generate_series(1, 6000) i
    where user_id = ${user.id} group by i`
  t.same(await rows(), { sessions: 2, tokens: 6002 })
  await deleteExpired(app.services.database)
  t.same(await rows(), { sessions: 2, tokens: 1002 }, 'in parts')
  await deleteExpired(app.services.database)
  t.same(await rows(), { sessions: 1, tokens: 1 })
})

t.test('what somebody has locked is left to the next time', async t => {
  const failure = { kind: 'pair', attempts: 1, window_ends_at: '2026-01-01T00:00:00Z' }
  await pool`insert into login_attempts ${pool([
    { ...failure, subject: 'one' },
    { ...failure, subject: 'other' }
  ])}`
  const left = async () =>
    (await pool`select subject from login_attempts where kind = 'pair'`).map(row => row.subject)
  await pool.begin(async sql => {
    await sql`select from login_attempts where subject = 'one' for update`
    await deleteExpired(app.services.database)
  })
  t.same(await left(), ['one'])
  await deleteExpired(app.services.database)
  t.same(await left(), [])
})
