import t from 'tap'
import { application, bearer, caller, login, organization, password } from '../../support/app.ts'

const app = await application(t)
const anybody = caller(app)
const me = async (token: string) =>
  (await anybody('GET /api/auth/me', undefined, bearer(token))).statusCode

t.test('changing the password', async t => {
  const { user, call } = await organization(app)
  const one = await user('viewer')
  const elsewhere = await login(app, one.user.username)
  const change = async (current_password: string, new_password: string) =>
    await one.call('POST /api/auth/change-password', { current_password, new_password })
  t.match((await change('wrong password', 'another harbour 48')).json(), {
    status: 422,
    errors: [{ pointer: '/current_password' }]
  })
  t.match((await change(password, 'short')).json(), {
    status: 400,
    errors: [{ pointer: '/new_password' }]
  })
  t.match((await change(password, 'iloveyou')).json(), {
    status: 422,
    errors: [{ pointer: '/new_password' }]
  })
  const changed = await change(password, 'another harbour 48')
  t.match([changed.statusCode, changed.json()], [200, { expires_in: 900, user: one.user }])
  for (const { token, refresh_token } of [one, elsewhere]) {
    t.equal(await me(token), 401, 'all sessions end, including this one')
    t.equal(
      (await anybody('POST /api/auth/refresh', { refresh_token })).statusCode,
      401,
      'their refresh tokens are refused'
    )
  }
  t.equal(await me(changed.json().token), 200, 'a new session starts')
  t.equal(
    (await anybody('POST /api/auth/refresh', { refresh_token: changed.json().refresh_token }))
      .statusCode,
    200
  )
  t.equal(
    (await anybody('POST /api/auth/login', { username: one.user.username, password })).statusCode,
    401
  )
  t.equal(
    (
      await anybody('POST /api/auth/login', {
        username: one.user.username,
        password: 'another harbour 48'
      })
    ).statusCode,
    200
  )

  await t.test('concurrent guesses are counted before they are checked', async t => {
    const victim = await user('user')
    const guesses = await Promise.all(
      Array.from(
        { length: 40 },
        async () =>
          (
            await victim.call('POST /api/auth/change-password', {
              current_password: 'wrong password',
              new_password: 'another harbour 48'
            })
          ).statusCode
      )
    )
    t.equal(guesses.filter(status => status === 422).length, 20)
    t.equal(guesses.filter(status => status === 429).length, 20)
    t.equal(
      (await anybody('POST /api/auth/login', { username: victim.user.username, password }))
        .statusCode,
      429,
      'in the counter of the account'
    )
    await app.services.database
      .pool`update login_attempts set window_ends_at = now() - interval '1 second'`
  })

  await t.test('in flight does not undo a password that an admin sets', async t => {
    const thief = await user('user')
    const { verify } = app.services.passwords
    t.teardown(() => {
      app.services.passwords.verify = verify
    })
    app.services.passwords.verify = async (...given) => {
      const matches = await verify(...given)
      app.services.passwords.verify = verify
      t.equal(
        (await call(`PATCH /api/users/${thief.user.id}`, { password: 'the admin gave it 49' }))
          .statusCode,
        200
      )
      return matches
    }
    t.match(
      (
        await thief.call('POST /api/auth/change-password', {
          current_password: password,
          new_password: 'another harbour 48'
        })
      ).json(),
      { status: 401, code: 'session_ended' }
    )
    t.equal(
      (
        await anybody('POST /api/auth/login', {
          username: thief.user.username,
          password: 'the admin gave it 49'
        })
      ).statusCode,
      200
    )
  })
})

t.test("a user's own name is no password", async t => {
  const { user, call } = await organization(app)
  const one = await user('user')
  const username = one.user.username
  const email = `mail-of-${username}@example.com`
  t.equal((await call(`PATCH /api/users/${one.user.id}`, { email })).statusCode, 200)
  const refused = (pointer: string) => ({
    status: 422,
    errors: [{ pointer, params: { rule: 'own_name' } }]
  })
  for (const own of [username, ` ${username.toUpperCase()} `, email, `mail-of-${username}`]) {
    const changed = { current_password: password, new_password: own }
    t.match(
      (await one.call('POST /api/auth/change-password', changed)).json(),
      refused('/new_password'),
      `${own} at a change`
    )
    t.match(
      (await call(`PATCH /api/users/${one.user.id}`, { password: own })).json(),
      refused('/password'),
      `${own} at a reset`
    )
  }
  const created = { username: 'harbor-master', email: 'keeper-of-it@example.com' }
  for (const own of ['Harbor-Master', 'keeper-of-it@example.com', 'keeper-of-it'])
    t.match(
      (await call('POST /api/users', { ...created, password: own })).json(),
      refused('/password'),
      `${own} at the creation`
    )
  const renamed = { username: `new-${username}`, password: `new-${username}` }
  t.match((await call(`PATCH /api/users/${one.user.id}`, renamed)).json(), refused('/password'))
  t.equal((await one.call('GET /api/auth/me')).json().username, username, 'nothing is changed')
  t.equal(
    (await call(`PATCH /api/users/${one.user.id}`, { password: `${username} and more` }))
      .statusCode,
    200,
    'a password that only begins with it is one'
  )
})

t.test('the OAuth 2 password flow', async t => {
  const { admin } = await organization(app)
  const token = async (form: Record<string, string>) =>
    await app.inject({
      method: 'POST',
      url: '/api/auth/token',
      payload: new URLSearchParams(form).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: 'Basic Og==' }
    })
  const granted = await token({
    grant_type: 'password',
    username: admin.user.username,
    password,
    client_id: '',
    scope: ''
  })
  t.match(
    [granted.statusCode, granted.json()],
    [200, { token_type: 'bearer', expires_in: 900, access_token: /^ey/ }]
  )
  t.equal(await me(granted.json().access_token), 200)
  t.equal(
    (await token({ grant_type: 'refresh_token', refresh_token: granted.json().refresh_token }))
      .statusCode,
    200
  )
  const refused = await token({
    grant_type: 'password',
    username: admin.user.username,
    password: 'wrong password'
  })
  t.match(
    [refused.headers['www-authenticate'], refused.json()],
    [undefined, { status: 400, error: 'invalid_grant' }]
  )
  t.match((await token({ grant_type: 'password', username: admin.user.username })).json(), {
    status: 400,
    error: 'invalid_request',
    errors: [{ pointer: '/password' }]
  })
  t.equal((await token({ grant_type: 'client_credentials' })).statusCode, 400)
})
