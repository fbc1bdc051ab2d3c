// Tags and links are added and removed one by one.
import t from 'tap'
import { application, organization, type Call } from '../../support/app.ts'
import { documentOf } from '../../support/document.ts'
import { everything, hiding, protecting, userWith } from '../../support/field-rights.ts'

const app = await application(t)
const organized = await organization(app)
const { call } = organized
const idOf = async (path: string, body: object): Promise<number> =>
  (await call(`POST /api/${path}`, body)).json().id
let tagged = 0
const newTag = async () => await idOf('tags', { name: `tag ${tagged++}` })
const contact = { first_name: 'A', last_name: 'B' }
const task = { type: 'task', subject: 'S' }
const changes = async (url: string, by: Call = call): Promise<string[][]> =>
  (await by(`GET ${url}/history`)).json().data.map(({ changed }: { changed: string[] }) => changed)

t.test('every record with tags has them', async t => {
  const bodies: Record<string, object> = {
    contacts: contact,
    accounts: { name: 'Corp' },
    leads: {},
    opportunities: { title: 'Sale' },
    activities: task,
    campaigns: { name: 'Fair' }
  }
  const paths = Object.keys(documentOf(app).paths).filter(path => path.endsWith('/tags/{tag_id}'))
  t.same(
    paths.toSorted(),
    Object.keys(bodies)
      .map(path => `/api/${path}/{id}/tags/{tag_id}`)
      .toSorted()
  )
  const [first, second] = [await newTag(), await newTag()]
  for (const [path, body] of Object.entries(bodies)) {
    const url = `/api/${path}/${await idOf(path, { ...body, tags: [first] })}`
    const added = await call(`POST ${url}/tags/${second}`)
    t.match(
      [added.statusCode, added.headers.etag, added.json()],
      [200, '"2"', { version: 2, tags: [first, second] }],
      path
    )
    t.same((await call(`GET ${url}`)).json(), added.json())
    const removed = await call(`DELETE ${url}/tags/${first}`)
    t.match([removed.headers.etag, removed.json()], ['"3"', { version: 3, tags: [second] }])
    t.same(await changes(url), [['tags'], ['tags'], []], 'one event for each change')
  }
})

t.test('what changes nothing keeps the version and writes no event', async t => {
  const [tag, gone] = [await newTag(), await newTag()]
  const url = `/api/contacts/${await idOf('contacts', { ...contact, tags: [tag, gone] })}`
  await call(`DELETE /api/tags/${gone}`)
  for (const request of [
    `POST ${url}/tags/${tag}`,
    `POST ${url}/tags/${gone}`,
    `DELETE ${url}/tags/999999`
  ]) {
    const answer = await call(request)
    t.match([answer.statusCode, answer.headers.etag], [200, '"1"'], request)
  }
  t.equal((await changes(url)).length, 1)
  t.match((await call(`DELETE ${url}/tags/${gone}`)).json(), { tags: [tag] }, 'a deleted one goes')
})

t.test('If-Match holds, also for what would change nothing', async t => {
  const tag = await newTag()
  const url = `/api/contacts/${await idOf('contacts', contact)}`
  const stale = { 'if-match': '"7"' }
  for (const method of ['POST', 'DELETE']) {
    const answer = await call(`${method} ${url}/tags/${tag}`, undefined, stale)
    t.match([answer.statusCode, answer.headers.etag], [412, '"1"'], method)
  }
  t.same((await call(`GET ${url}`)).json().tags, [])
  const current = await call(`POST ${url}/tags/${tag}`, undefined, { 'if-match': '"1"' })
  t.match(current.json(), { version: 2, tags: [tag] })
})

t.test('`fields` and `include` are as for other writes', async t => {
  const tag = await newTag()
  const url = `/api/contacts/${await idOf('contacts', contact)}`
  const answer = await call(`POST ${url}/tags/${tag}?fields=last_name&include=tags`)
  t.match(answer.json(), { last_name: 'B', included: { tags: [{ id: tag }] } })
  t.same(Object.keys(answer.json()), ['last_name', 'included'])
  t.equal(answer.headers.etag, '"2"')
})

t.test('parallel additions and removals all hold', async t => {
  const tags = await Promise.all(Array.from({ length: 30 }, newTag))
  for (const [path, body] of [
    ['contacts', contact],
    ['leads', {}]
  ] as const) {
    const url = `/api/${path}/${await idOf(path, body)}`
    const answers = await Promise.all(tags.map(tag => call(`POST ${url}/tags/${tag}`)))
    t.ok(answers.every(({ statusCode }) => statusCode === 200))
    const { tags: added, version } = (await call(`GET ${url}`)).json()
    t.same(
      (added as number[]).toSorted((a, b) => a - b),
      tags.toSorted((a, b) => a - b)
    )
    t.equal(version, 31)
    await Promise.all(tags.slice(1).map(tag => call(`DELETE ${url}/tags/${tag}`)))
    t.match((await call(`GET ${url}`)).json(), { tags: tags.slice(0, 1), version: 60 })
    t.equal((await call(`GET ${url}/history?limit=200`)).json().data.length, 60)
  }
})

t.test('an unknown tag, and one too many, are told by their parameter', async t => {
  const tags = await Promise.all(Array.from({ length: 51 }, newTag))
  const url = `/api/contacts/${await idOf('contacts', { ...contact, tags: tags.slice(0, 49) })}`
  const other = await organization(app)
  const theirs = (await other.call('POST /api/tags', { name: 'x' })).json().id
  for (const tag of [999_999, theirs]) {
    const unknown = (await call(`POST ${url}/tags/${tag}`)).json()
    t.match(unknown, {
      status: 422,
      code: 'unknown_reference',
      errors: [{ parameter: 'tag_id', detail: /^tag_id must refer to/ }]
    })
    t.notOk('pointer' in unknown.errors[0])
  }
  t.equal((await call(`POST ${url}/tags/${tags[49]}`)).statusCode, 200)
  t.match((await call(`POST ${url}/tags/${tags[50]}`)).json(), {
    status: 422,
    code: 'rule_broken',
    errors: [{ parameter: 'tag_id', params: { rule: 'max_items', field: 'tags', maximum: 50 } }]
  })
  t.match((await call(`POST ${url}/tags/x`)).json(), {
    status: 400,
    errors: [{ parameter: 'tag_id' }]
  })
  t.equal((await call(`POST ${url}/tags/${tags[0]}`)).statusCode, 200, 'it has that one')
  t.equal((await call(`POST /api/contacts/999999/tags/${tags[0]}`)).statusCode, 404)
})

t.test('the rights are those of an update', async t => {
  const [tag, other] = [await newTag(), await newTag()]
  const url = `/api/contacts/${await idOf('contacts', { ...contact, tags: [tag] })}`
  const statuses = async (by: Call) => [
    (await by(`POST ${url}/tags/${tag}`)).statusCode,
    (await by(`POST ${url}/tags/${other}`)).statusCode,
    (await by(`DELETE ${url}/tags/${tag}`)).statusCode
  ]
  const grant = { resource: 'contacts', actions: ['read'], reach: 'all' }
  const own = { ...grant, actions: everything, reach: 'own' }
  for (const [grants, status] of [
    [[protecting('contacts', 'tags')], 403],
    [[hiding('contacts', 'tags')], 400],
    [[grant], 403],
    [[grant, { ...own, actions: ['update'] }], 403],
    [[own], 404]
  ] as const) {
    const { call } = await userWith(organized, [...grants])
    t.same(await statuses(call), [status, status, status], JSON.stringify(grants))
  }
  t.same(await statuses((await organization(app)).call), [404, 404, 404])
  t.match((await call(`GET ${url}`)).json(), { version: 1, tags: [tag] })
  await call(`DELETE ${url}`)
  t.same(await statuses(call), [404, 404, 404], 'deleted')
})

t.test('rules and scores are those of an update', async t => {
  const tag = await newTag()
  const model = { name: 'By source', status: 'active' }
  const rules = [{ field: 'source', operator: 'eq', value: 'website', points: 7 }]
  await call('POST /api/scoring-models', { ...model, rules })
  const lead = await idOf('leads', { source: 'website' })
  const hidden = await userWith(organized, [hiding('leads', 'score')])
  t.match((await call(`POST /api/leads/${lead}/tags/${tag}`)).json(), { score: 7, tags: [tag] })
  t.notOk('score' in (await hidden.call(`DELETE /api/leads/${lead}/tags/${tag}`)).json())
})

t.test('the links of an activity', async t => {
  const [one, two] = [await idOf('contacts', contact), await idOf('contacts', contact)]
  const links = [{ type: 'contact', id: one }]
  const url = `/api/activities/${await idOf('activities', { ...task, links })}`
  const added = await call(`POST ${url}/links/contact/${two}?include=links`)
  t.match([added.headers.etag, added.json()], ['"2"', { included: { links: [{}, { id: two }] } }])
  t.same(added.json().links, [...links, { type: 'contact', id: two }])
  t.match((await call(`GET /api/contacts/${two}/timeline`)).json().data, [{ title: /S/ }, {}])
  t.match((await call(`POST ${url}/links/contact/${two}`)).json(), { version: 2 })
  t.match((await call(`DELETE ${url}/links/lead/${two}`)).json(), { version: 2 })
  t.match((await call(`DELETE ${url}/links/contact/${one}`)).json(), {
    version: 3,
    links: [{ id: two }]
  })
  t.same(await changes(url), [['links'], ['links'], []])

  t.match((await call(`POST ${url}/links/lead/999999`)).json(), {
    status: 422,
    errors: [{ parameter: 'linked_id', code: 'unknown_reference' }]
  })
  t.match((await call(`POST ${url}/links/user/1`)).json(), {
    status: 400,
    errors: [{ parameter: 'type' }]
  })
  const stale = { 'if-match': '"1"' }
  t.equal((await call(`DELETE ${url}/links/contact/${two}`, undefined, stale)).statusCode, 412)
})

t.test('what a caller does not reach cannot be linked, and 30 links at once hold', async t => {
  const mine = { actions: everything, reach: 'own' }
  const { call: confined } = await userWith(organized, [
    { resource: 'activities', ...mine },
    { resource: 'contacts', ...mine }
  ])
  const activity = (await confined('POST /api/activities', task)).json()
  const url = `/api/activities/${activity.id}`
  const foreign = await idOf('contacts', contact)
  t.match((await confined(`POST ${url}/links/contact/${foreign}`)).json(), {
    status: 422,
    errors: [{ parameter: 'linked_id' }]
  })
  const contacts = await Promise.all(Array.from({ length: 30 }, () => idOf('contacts', contact)))
  await Promise.all(contacts.map(id => call(`POST ${url}/links/contact/${id}`)))
  const { links, version } = (await call(`GET ${url}`)).json()
  t.same(
    (links as { id: number }[]).map(({ id }) => id).toSorted((a, b) => a - b),
    contacts.toSorted((a, b) => a - b)
  )
  t.equal(version, 31)
})
