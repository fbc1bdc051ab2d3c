// IDs of records in other systems: how they are written, found, kept unique and shown.
import { assert, asyncProperty, constantFrom, dictionary, option, string } from 'fast-check'
import t from 'tap'
import { hasExternalIds } from '../../../src/core/db/columns.ts'
import { getTableName } from '../../../src/core/db/drizzle.ts'
import { allResources, groupOf } from '../../../src/core/records/resource.ts'
import { application, organization, ownerOf } from '../../support/app.ts'
import { analyze, plansOf } from '../../support/plans.ts'

const app = await application(t)
const { call } = await organization(app)

t.test('all records that people work with have them, and each table has its triggers', async t => {
  const records = allResources().filter(
    resource => resource.schema && groupOf(resource) === 'records' && !resource.membershipIn
  )
  t.ok(records.length >= 7, `${records.length} resources`)
  for (const { name, table, schema, create, update } of records) {
    t.ok(hasExternalIds(table), name)
    for (const part of [schema, create, update])
      t.ok('external_ids' in part!.properties, `${name} has the field`)
  }
  const watched = await ownerOf(app)<{ table: string; subject: string; events: string }[]>`
    select tgrelid::regclass::text as table,
      split_part(encode(tgargs, 'escape'), '\\', 1) as subject,
      string_agg(tgname, ',' order by tgname) as events
    from pg_trigger where tgfoid = 'record_external_ids'::regproc group by 1, 2 order by 1`
  const withColumn = await ownerOf(app)<{ table: string }[]>`
    select attrelid::regclass::text as table from pg_attribute
    where attname = 'external_ids' and not attisdropped order by 1`
  const events = ['delete', 'insert', 'update'].map(event => `external_ids_of_${event}`).join()
  t.same(
    watched.map(({ table, subject }) => [table, subject]),
    allResources()
      .filter(({ table }) => hasExternalIds(table))
      .map(({ table, name }) => [getTableName(table), name])
      .toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1))
  )
  t.same(
    watched.map(({ table }) => table),
    withColumn.map(({ table }) => table),
    'a table with the column and without the triggers would be found'
  )
  for (const one of watched) t.equal(one.events, events, one.table)
})

t.test('they are shown, listed, exported and in the history like any field', async t => {
  const { call } = await organization(app)
  const tag = { name: 'Gold', external_ids: { erp: 'T-1', 'web-shop_2': '"=1+1"' } }
  const created = (await call('POST /api/tags', tag)).json()
  t.same(created.external_ids, tag.external_ids)
  await call('POST /api/tags', { name: 'Plain' })
  t.match((await call('GET /api/tags?sort=name')).json().data, [tag, { external_ids: {} }])
  t.same((await call('GET /api/tags?fields=external_ids&name=Gold')).json().data, [
    { external_ids: tag.external_ids }
  ])
  const csv = await call('GET /api/tags?sort=name&fields=name,external_ids', undefined, {
    accept: 'text/csv'
  })
  t.match(csv.body, /^name,external_ids\r\nGold,"\{""erp"":""T-1"",/)
  const ndjson = await call('GET /api/tags?sort=name', undefined, {
    accept: 'application/x-ndjson'
  })
  t.match(JSON.parse(ndjson.body.split('\n')[0]!), tag)
  await call(`PATCH /api/tags/${created.id}`, { external_ids: { erp: 'T-2' } })
  t.match((await call(`GET /api/tags/${created.id}/history`)).json().data, [
    {
      changed: ['external_ids'],
      before: { external_ids: tag.external_ids },
      after: { external_ids: { ...tag.external_ids, erp: 'T-2' } }
    },
    { type: 'tag.created', after: tag }
  ])
})

const inOrder = (ids: Record<string, string>): string =>
  JSON.stringify(Object.entries(ids).toSorted(([a], [b]) => (a < b ? -1 : 1)))

t.test('a change is merged: two integrations do not overwrite each other', async t => {
  const { id } = (await call('POST /api/leads', { external_ids: null })).json()
  const source = constantFrom('a', 'b', 'c', 'd')
  const patch = option(
    dictionary(source, option(string({ minLength: 1, maxLength: 5 }), { freq: 2 }))
  )
  let model: Record<string, string> = {}
  let version = 1
  await assert(
    asyncProperty(patch, async given => {
      const wanted = Object.fromEntries(
        Object.entries(given ?? {}).map(([name, value]) => [name, value && `${name} ${value}x`])
      )
      const before = inOrder(model)
      const merged = given === null ? {} : { ...model, ...wanted }
      model = Object.fromEntries(
        Object.entries(merged).filter((entry): entry is [string, string] => entry[1] !== null)
      )
      if (inOrder(model) !== before) version++
      const external_ids = given === null ? null : wanted
      const answer = await call(`PATCH /api/leads/${id}`, { external_ids })
      t.same(answer.json().external_ids, model)
      t.equal(answer.json().version, version, 'a change that changes nothing keeps the version')
    }),
    { numRuns: 60 }
  )
  const rows = await ownerOf(app)`select source, value from external_ids where record_id = ${id}
    and type = 'lead'`
  t.same(Object.fromEntries(rows.map(({ source, value }) => [source, value])), model)
})

t.test('concurrent changes of different sources are all kept', async t => {
  const { id } = (await call('POST /api/accounts', { name: 'Acme' })).json()
  const sources = Array.from({ length: 20 }, (_, i) => `source_${i}`)
  const answers = await Promise.all(
    sources.map(source => call(`PATCH /api/accounts/${id}`, { external_ids: { [source]: '1' } }))
  )
  t.ok(answers.every(({ statusCode }) => statusCode === 200))
  const { external_ids } = (await call(`GET /api/accounts/${id}`)).json()
  t.same(Object.keys(external_ids).toSorted(), sources.toSorted())
  const excess = await call(`PATCH /api/accounts/${id}`, { external_ids: { one_more: '1' } })
  t.match(excess.json(), { status: 422, errors: [{ pointer: '/external_ids' }] })
  t.match(excess.json().detail, /at most 20 sources/)
})

t.test('a record that is sent as it was read is unchanged', async t => {
  const input = { title: 'Sale', external_ids: { erp: 'O-1', shop: 'O-1' } }
  const created = (await call('POST /api/opportunities', input)).json()
  for (const method of ['PUT', 'PATCH']) {
    const answer = await call(`${method} /api/opportunities/${created.id}`, created)
    t.same(answer.json(), created, method)
  }
})

t.test('what is no external ID is refused', async t => {
  const refused = async (external_ids: unknown, pointer: string) => {
    const answer = await call('POST /api/contacts', {
      first_name: 'A',
      last_name: 'B',
      external_ids
    })
    t.match(answer.json(), { status: 400, errors: [{ pointer }] }, JSON.stringify(external_ids))
  }
  for (const source of ['', 'ERP', '1c', 'a b', 'é', 'x'.repeat(41), '__proto__x'])
    await refused({ [source]: '1' }, '/external_ids')
  for (const value of ['', ' ', 'x'.repeat(256), 1, {}, ['a'], 'a\u0000'])
    await refused({ erp: value }, '/external_ids/erp')
  const many = Array.from({ length: 21 }, (_, i) => [`s${i}`, '1'])
  await refused(Object.fromEntries(many), '/external_ids')
  for (const value of ['erp', 1, []]) await refused(value, '/external_ids')
})

t.test('they are unique among the records of a type that are not deleted', async t => {
  const { call } = await organization(app)
  const other = await organization(app)
  const contact = { first_name: 'Jo', last_name: 'Li', external_ids: { erp: 'A-1', crm: '7' } }
  const { id } = (await call('POST /api/contacts', contact)).json()
  const taken = await call('POST /api/contacts', contact)
  t.match(taken.json(), { status: 409, code: 'duplicate' })
  t.equal(taken.json().errors[0].pointer, '/external_ids/crm')
  t.notMatch(taken.body, new RegExp(`\\b${id}\\b`), 'it does not tell which record has it')
  t.equal((await other.call('POST /api/contacts', contact)).statusCode, 201)
  const elsewhere = { name: 'Acme', external_ids: contact.external_ids }
  t.equal((await call('POST /api/accounts', elsewhere)).statusCode, 201, 'another type')

  await call(`DELETE /api/contacts/${id}`)
  const successor = (await call('POST /api/contacts', contact)).json()
  t.match((await call(`POST /api/contacts/${id}/restore`)).json(), {
    status: 409,
    errors: [{ pointer: '/external_ids/crm' }]
  })
  await call(`PATCH /api/contacts/${successor.id}`, { external_ids: null })
  t.match((await call(`POST /api/contacts/${id}/restore`)).json(), {
    external_ids: contact.external_ids
  })
})

t.test('a record is found by them, and by nothing else', async t => {
  const { call } = await organization(app)
  const create = async (external_ids: object) =>
    (await call('POST /api/leads', { external_ids })).json().id as number
  const first = await create({ erp: 'A-42', shop: 'x' })
  const second = await create({ erp: 'A, "43"', crm: 'A-42' })
  await create({})
  const listed = async (query: string) => {
    const { data } = (await call(`GET /api/leads?${query}`)).json()
    return data.map(({ id }: { id: number }) => id)
  }
  t.same(await listed('external[erp]=A-42'), [first])
  t.same(await listed('external[crm]=A-42'), [second])
  t.same(await listed('external[erp]=a-42'), [])
  t.same(await listed('external[erp]=A-42&external[shop]=x'), [first])
  t.same(await listed('external[erp]=A-42&external[shop]=y'), [])
  t.same(await listed('external[erp][in]=A-42,"A, ""43""",none'), [second, first])
  t.same(await listed('external[erp]=A-42&status=contacted'), [])
  await call(`DELETE /api/leads/${first}`)
  t.same(await listed('external[erp]=A-42'), [])
  t.same(await listed('external[erp]=A-42&deleted=true'), [first])
  t.equal((await call('GET /api/leads?external[erp]=A-42&count=exact')).json().total, 0)
  for (const query of [
    'external=A-42',
    'external[ERP]=1',
    'external[]=1',
    'external[erp][gt]=1',
    'external[erp]=',
    'external[erp]=a&external[erp]=b',
    'external[erp][in]=a,%20b'
  ]) {
    const answer = await call(`GET /api/leads?${query}`)
    t.equal(answer.statusCode, 400, query)
  }
  t.match(
    (await call('GET /api/leads?external[erp][gt]=1')).json().detail,
    /known: external\[<key>\]/
  )
  const many = Array.from({ length: 21 }, (_, i) => `external[s${i}]=1`).join('&')
  t.equal((await call(`GET /api/leads?${many}`)).statusCode, 400, 'too many')
})

t.test('reports are filtered by them, and name the list that adds up', async t => {
  const { call } = await organization(app)
  await call('POST /api/opportunities', { title: 'A', amount: 5, external_ids: { erp: 'O-1' } })
  await call('POST /api/opportunities', { title: 'B', amount: 7 })
  const { data } = (await call('GET /api/reports/pipeline?external[erp]=O-1')).json()
  t.match(data, [{ count: 1, amount: 5 }])
  const listed = (await call(`GET ${data[0].list}?${data[0].filter}`)).json()
  t.match(listed.data, [{ title: 'A' }])
  t.equal(listed.data.length, 1)
})

t.test('a list by external ID reads the index of external IDs', async t => {
  const { id: organization_id, call } = await organization(app)
  await ownerOf(app).unsafe(`insert into leads (organization_id, external_ids)
    select ${organization_id}, jsonb_build_object('erp', 'A-' || n)
    from generate_series(1, 5000) n`)
  await analyze(app)
  for (const query of ['external[erp]=A-42', 'external[erp][in]=A-42,A-43', 'external[erp]=none']) {
    const [plan, ...others] = await plansOf(app, () => call(`GET /api/leads?${query}`))
    t.match(plan, /external_ids_value_unique/, query)
    t.notMatch(plan, /Seq Scan|idx_leads/, query)
    t.same(others, [])
  }
})

t.test('a record has an address by its external ID', async t => {
  const { call } = await organization(app)
  const values = [
    'A-42',
    'a/b',
    'a b',
    '100%',
    '%2F',
    'é',
    '👩‍👩‍👧‍👦',
    '?x=1#y',
    '.',
    '..',
    ';',
    '👩'.repeat(255)
  ]
  for (const value of values) {
    const { id, external_ids } = (
      await call('POST /api/tags', { name: value.slice(0, 20), external_ids: { erp: value } })
    ).json()
    const path = `/api/tags/external/erp/${encodeURIComponent(value)}`
    if (value === '.' || value === '..') continue // dots are never encoded: see the filter
    const answer = await call(`GET ${path}?fields=id,external_ids`)
    t.same(answer.json(), { id, external_ids }, value.slice(0, 20))
    t.equal(answer.headers.etag, '"1"')
    const headers = { 'if-none-match': '"1"' }
    t.equal((await call(`GET ${path}`, undefined, headers)).statusCode, 304)
  }
  const longer = encodeURIComponent('x'.repeat(256))
  t.equal((await call(`GET /api/tags/external/erp/${longer}`)).statusCode, 400)
  t.equal((await call('GET /api/tags/external/ERP/1')).statusCode, 400)
  t.equal((await call('GET /api/tags/external/erp/none')).statusCode, 404)
  const included = await call('GET /api/tags/external/erp/A-42?include=created_by')
  t.match(included.json(), { included: { created_by: {} } })
  const { id } = (await call('GET /api/tags/external/erp/A-42')).json()
  await call(`DELETE /api/tags/${id}`)
  t.equal((await call('GET /api/tags/external/erp/A-42')).statusCode, 404)
})
