// Errors that say what to do.
import t from 'tap'
import { application, caller, organization, bearer } from '../support/app.ts'

interface Fault {
  pointer: string
  code: string
  params: object
}

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

t.test('each fault has the values that are in its text', async t => {
  const faultsOf = async (request: string, body?: object) =>
    (await call(request, body)).json().errors.map(({ code, params }: Fault) => [code, params])
  const contact = { first_name: 'A', last_name: 'B' }
  for (const [body, ...fault] of [
    [{ first_name: 'A' }, 'required', {}],
    [{ ...contact, last_name: 'x'.repeat(51) }, 'maxLength', { maxLength: 50 }],
    [{ ...contact, last_name: ' ' }, 'pattern', { expected: 'visible_text' }],
    [{ ...contact, email: 'x' }, 'format', { format: 'idn-email' }],
    [{ ...contact, phone: 1 }, 'type', { type: 'string' }],
    [{ ...contact, account_id: 0 }, 'minimum', { minimum: 1 }],
    [{ ...contact, tags: [1, 1] }, 'uniqueItems', {}],
    [{ ...contact, id: 1 }, 'unknown', { server_set: true }]
  ] as const)
    t.same(await faultsOf('POST /api/contacts', body), [fault], JSON.stringify(body))
  t.match(await faultsOf('POST /api/tags', { name: 'A', colour: 'x' }), [
    ['unknown', { known: ['name', 'color'] }]
  ])
  t.match(await faultsOf('GET /api/tags?nmae=x'), [['unknown', { known: /./ }]])
  t.same(await faultsOf('GET /api/tags?limit=201'), [['maximum', { maximum: 200 }]])
  t.same(await faultsOf('GET /api/leads?sort=x'), [
    [
      'pattern',
      {
        expected: 'names',
        maximum: 3,
        allowed: ['id', 'status', 'score', 'grade', 'moved_at', 'created_at', 'updated_at'].flatMap(
          field => [field, `-${field}`]
        )
      }
    ]
  ])
  t.same(await faultsOf('GET /api/leads?grade=E'), [['enum', { allowed: ['A', 'B', 'C', 'D'] }]])
  t.same(await faultsOf('GET /api/leads?grade[in]=A,E'), [
    ['pattern', { expected: 'names', allowed: ['A', 'B', 'C', 'D'], maximum: 100 }]
  ])
})

t.test('a broken rule has its name and values', async t => {
  const faultsOf = async (request: string, body: object) => {
    const { status, errors } = (await call(request, body)).json()
    return [status, errors.map(({ pointer, params }: Fault) => [pointer, params])]
  }
  t.same(await faultsOf('POST /api/opportunities', { title: 'A', stage: 'lost' }), [
    422,
    [['/lost_reason', { rule: 'required_when', field: 'status', values: ['lost'] }]]
  ])
  t.match(await faultsOf('POST /api/opportunities', { title: 'A', stage: 'none' }), [
    422,
    [['/stage', { rule: 'unknown_stage', value: 'none', allowed: /./ }]]
  ])
  const campaign = { name: 'A', start_date: '2027-03-02', end_date: '2027-03-01' }
  t.same(await faultsOf('POST /api/campaigns', campaign), [
    422,
    [['/end_date', { rule: 'not_before', field: 'start_date', minimum: '2027-03-02' }]]
  ])
  const rule = { name: 'A', resource: 'leads', user_id: admin.user.id, filter: 'score[gte]=x' }
  t.same(await faultsOf('POST /api/assignment-rules', rule), [
    422,
    [['/filter', { rule: 'filter', filters: [{ code: 'type', params: { type: 'integer' } }] }]]
  ])
})

t.test('an error is as long as the document says, whatever the request contains', async t => {
  const long = 'x'.repeat(5000)
  const unknown = await call('POST /api/tags', { name: 'A', [long]: 1 })
  t.match(unknown.json(), { status: 400, errors: [{ code: 'unknown' }] })
  t.equal((await call(`GET /api/tags?${long}=1`)).statusCode, 400)
  const keys = Array.from({ length: 99 }, (_, i) => `s${i}_${'x'.repeat(45)}`)
  const stages = keys.map(key => ({ key, name: key, probability: 1 }))
  const pipeline = (await call('POST /api/pipelines', { name: 'Long', stages })).json()
  const body = { title: 'A', pipeline_id: pipeline.id, stage: 'none' }
  t.equal((await call('POST /api/opportunities', body)).statusCode, 422)
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
