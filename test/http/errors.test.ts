// Errors that say what to do.
import t from 'tap'
import { application, caller, organization, bearer } from '../support/app.ts'

const app = await application(t)
const { call, admin } = await organization(app)

t.test('a text that is too short is told the length', async t => {
  const short = await call('POST /api/auth/change-password', {
    current_password: 'whatever it is',
    new_password: 'short'
  })
  t.match(short.json(), {
    status: 400,
    errors: [{ pointer: '/new_password', code: 'minLength', detail: /at least 8 characters/ }]
  })
  t.match((await call('POST /api/tags', { name: '' })).json().detail, /name must not be empty/)
})

t.test('a body that is not an object is told so', async t => {
  for (const [payload, detail] of [
    ['[]', /must be a JSON object/],
    ['[{"first_name":"A"}]', /must be a JSON object/],
    ['"text"', /must be a JSON object/],
    ['1', /must be a JSON object/],
    ['null', /is missing: send a JSON object/]
  ] as const) {
    const refused = await app.inject({
      method: 'POST',
      url: '/api/contacts',
      headers: { ...bearer(admin.token), 'content-type': 'application/json' },
      payload
    })
    t.match([refused.statusCode, refused.json().detail], [400, detail], payload)
  }
  const absent = await caller(app, bearer(admin.token))('POST /api/contacts')
  t.match(absent.json().detail, /is missing: send a JSON object/)
})

t.test('an unknown parameter or field is told which there are', async t => {
  t.match(
    (await call('GET /api/tags?nmae=x')).json().detail,
    /nmae is unknown; known: limit, cursor, sort, fields, .*\bname\b/
  )
  t.match(
    (await call('POST /api/tags', { name: 'A', colour: '#ffffff' })).json().detail,
    /colour is unknown; known: name, color/
  )
  t.match((await call('GET /api/auth/me?x=1')).json().detail, /x is unknown/)
})

t.test('a weak tag in If-Match is told that it never matches', async t => {
  const { id } = (await call('POST /api/tags', { name: 'B' })).json()
  for (const [method, body] of [
    ['PATCH', { name: 'C' }],
    ['DELETE', undefined]
  ] as const) {
    const weak = await call(`${method} /api/tags/${id}`, body, { 'if-match': 'W/"1"' })
    t.match(
      [weak.statusCode, weak.headers.etag, weak.json()],
      [412, '"1"', { code: 'stale', detail: /weak tag never matches: send .* without W\/, "1"/ }]
    )
  }
  const stale = await call(`PATCH /api/tags/${id}`, { name: 'C' }, { 'if-match': '"7"' })
  t.match(stale.json().detail, /current version is 1/)
})

t.test('a token that is followed by something is refused', async t => {
  const me = async (authorization: string) =>
    (await caller(app, { authorization })('GET /api/auth/me')).statusCode
  t.equal(await me(`Bearer ${admin.token}`), 200)
  t.equal(await me(`bearer ${admin.token}`), 200, 'the scheme has no case')
  for (const header of [
    `Bearer ${admin.token} junk`,
    `Bearer ${admin.token}  `,
    `Bearer  ${admin.token}`,
    `Bearer ${admin.token},${admin.token}`,
    `Bearer ${admin.token}\u00A0x`,
    `Token ${admin.token}`
  ])
    t.equal(await me(header), 401, header.replace(admin.token, '<token>'))
})

t.test('the error of a malformed path is short, however long the path is', async t => {
  const answer = await app.inject(`/api/contacts/%F0%9F?q=${'x'.repeat(5000)}`)
  t.equal(answer.statusCode, 400)
  t.ok(answer.json().detail.length <= 500)
})
