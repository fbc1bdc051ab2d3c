// A resource that the code does not have: everything that concerns all resources must know it.
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import t from 'tap'
import {
  externalIds,
  identifier,
  idList,
  record,
  recordKeys,
  reference,
  searchText
} from '../../../src/core/db/columns.ts'
import { pgTable, sql, varchar } from '../../../src/core/db/drizzle.ts'
import { ExternalIds } from '../../../src/core/http/external-ids.ts'
import { resourceRoutes } from '../../../src/core/http/resource-routes.ts'
import { Change, Creation, Id, Name, Nullable, RecordOf } from '../../../src/core/http/schema.ts'
import { repository } from '../../../src/core/records/repository.ts'
import { defineResource } from '../../../src/core/records/resource.ts'
import { TagIds } from '../../../src/modules/crm/tags/schema.ts'
import { tags } from '../../../src/modules/crm/tags/table.ts'
import { opportunities } from '../../../src/modules/sales/opportunities/table.ts'
import { assertAccess } from '../../support/access.ts'
import { application, database, organization } from '../../support/app.ts'
import { hiddenColumnMistakes } from '../../support/hidden.ts'
import { documentOf } from '../../support/document.ts'
import { behavesLikeARecord } from '../../support/record.ts'

const quotes = pgTable(
  'quotes',
  {
    ...record(),
    title: varchar({ length: 200 }).notNull(),
    margin: varchar({ length: 20 }),
    opportunity_id: identifier(),
    tags: idList(),
    external_ids: externalIds(),
    search_text: searchText(['title'])
  },
  t => [...recordKeys('quotes', t), reference('quotes', t, 'opportunity_id', opportunities)]
)

const fields = {
  title: Name(200, { description: 'Title.', example: 'Offer 4711' }),
  opportunity_id: Nullable(Id({ description: 'Opportunity ID.', example: 1 })),
  tags: TagIds(),
  external_ids: ExternalIds()
}
const quoteResource = defineResource({
  name: 'quote',
  plural: 'quotes',
  description: 'Offers with a price.',
  table: quotes,
  schema: RecordOf('Quote', 'An offer with a price.', fields),
  create: Creation('NewQuote', fields, ['title'], { title: 'Offer 4711', opportunity_id: null }),
  update: Change('QuoteChanges', fields, { title: 'Offer 4712' }),
  filters: ['id', 'title', 'opportunity_id'],
  sorts: ['id', 'title'],
  search: ['title'],
  identifiers: ['title'],
  include: { opportunity: 'opportunity_id', tags: { ids: 'tags', of: tags } },
  hidden: ['margin'],
  title: sql`${quotes.title}`
})
const quoteService = repository(quoteResource)
const routes: FastifyPluginAsyncTypebox = async app => {
  await resourceRoutes(app, quoteResource, quoteService)
}

const database_url = await database(t)
const admin = postgres(database_url, { max: 1, onnotice: () => {} })
t.teardown(() => admin.end())
await admin.unsafe(`
  create table quotes (like contacts including defaults including identity);
  alter table quotes
    drop first_name, drop last_name, drop email, drop phone, drop company, drop position,
    drop search_text, drop account_id, drop assigned_to,
    add title varchar(200) not null, add margin varchar(20) default 'secret margin',
    add opportunity_id bigint,
    add search_text text not null generated always as (search_text("title")) stored,
    add primary key (organization_id, id),
    add foreign key (organization_id, opportunity_id) references opportunities;
  create index on quotes using gin (organization_id, search_text gin_trgm_ops);
  call watch_tags('quotes');
  call watch_records('quotes', 'quote', '{margin}');
  call watch_external_ids('quotes', 'quote')`)
const app = await application(t, { database_url }, undefined, async app => {
  await app.register(routes, { prefix: '/api/quotes' })
})

t.test('it behaves like a record', async t => {
  await behavesLikeARecord(t, app, '/api/quotes', {
    valid: () => ({ title: 'Offer' }),
    change: { title: 'Better offer' },
    invalid: [
      [{ title: '' }, '/title'],
      [{ opportunity_id: 'x' }, '/opportunity_id'],
      [{ margin: '10' }, '/margin']
    ]
  })
})

t.test('it has a tag, permissions, event types and its related records', async t => {
  const { tags = [] } = app.swagger() as { tags?: { name: string; description: string }[] }
  t.match(
    tags.find(({ name }) => name === 'quotes'),
    { description: 'Offers with a price.' }
  )
  const { call } = await organization(app)
  const opportunity = (await call('POST /api/opportunities', { title: 'Sale' })).json()
  const quote = { title: 'Offer', opportunity_id: opportunity.id }
  const { id } = (await call('POST /api/quotes', quote)).json()
  t.match((await call(`GET /api/quotes/${id}?include=opportunity`)).json(), {
    included: { opportunity: { title: 'Sale' } }
  })
  t.match((await call('GET /api/quotes?q=off')).json(), { data: [{ id }] })
  t.match((await call('POST /api/quotes', { ...quote, opportunity_id: 999 })).json(), {
    status: 422,
    errors: [{ pointer: '/opportunity_id' }]
  })
  const sent = await call('POST /api/quotes', { ...quote, id: 1 })
  t.match(sent.json().errors, [{ pointer: '/id', detail: /set by the server/ }])
  t.match((await call(`GET /api/quotes/${id}/history`)).json(), {
    data: [{ type: 'quote.created' }]
  })
})

t.test('it can be read as it was, and tagged', async t => {
  const { call } = await organization(app)
  const quote = (await call('POST /api/quotes', { title: 'Offer' })).json()
  const tag = (await call('POST /api/tags', { name: 'urgent' })).json()
  await sleep(3)
  const one = `/api/quotes/${quote.id}`
  const tagged = await call(`POST ${one}/tags/${tag.id}?include=tags`)
  t.match(tagged.json(), { version: 2, tags: [tag.id], included: { tags: [{ name: 'urgent' }] } })
  t.same((await call(`GET ${one}?as_of=${quote.updated_at}`)).json(), quote)
  t.match((await call(`DELETE ${one}/tags/${tag.id}`)).json(), { version: 3, tags: [] })
})

t.test('it is changed in batches', async t => {
  const { call } = await organization(app)
  const id = { $ref: 'offer' }
  const operations = [
    { ref: 'offer', op: 'create', type: 'quote', data: { title: 'Offer' } },
    { op: 'update', type: 'quote', id, data: { title: 'Last offer' } },
    { op: 'delete', type: 'quote', id },
    { op: 'restore', type: 'quote', id }
  ]
  const { results } = (await call('POST /api/batch', { mode: 'atomic', operations })).json()
  const outcomes = (results as { outcome: string }[]).map(({ outcome }) => outcome)
  t.same(outcomes, ['created', 'updated', 'deleted', 'restored'])
  t.match((await call('GET /api/quotes')).json(), { data: [{ title: 'Last offer', version: 4 }] })
})

t.test('it is changed by filter', async t => {
  const { call } = await organization(app)
  await call('POST /api/quotes', { title: 'Offer' })
  const tag = (await call('POST /api/tags', { name: 'urgent' })).json()
  const filter = 'title=Offer'
  for (const [op, change] of [
    ['tag', { add: [tag.id] }],
    ['update', { data: { opportunity_id: null } }],
    ['delete', {}]
  ] as const) {
    const answer = await call(`POST /api/quotes/mass-${op}`, { filter, ...change })
    t.match(answer.json(), { matched: 1, changed: op === 'update' ? 0 : 1, failed: 0 }, op)
  }
  t.match((await call('GET /api/quotes?deleted=true')).json(), { data: [{ tags: [tag.id] }] })
})

t.test('its hidden column leaves the database in no way', async t => {
  const { call } = await organization(app)
  const { id } = (await call('POST /api/quotes', { title: 'Offer' })).json()
  await call(`PATCH /api/quotes/${id}`, { title: 'Better' })
  t.equal((await admin`select margin from quotes where id = ${id}`)[0]!.margin, 'secret margin')
  for (const request of [`/${id}`, `/${id}/history`, '', '?q=bett', `?id=${id}&fields=title`])
    t.notMatch((await call(`GET /api/quotes${request}`)).body, /margin/, `GET quotes${request}`)
  const csv = await call('GET /api/quotes', undefined, { accept: 'text/csv' })
  t.notMatch(csv.body, /margin/, 'CSV')
  t.equal((await call('GET /api/quotes?fields=margin')).statusCode, 400)
  t.equal((await call('GET /api/quotes?margin=secret')).statusCode, 400)
  const events = await admin`select from events where subject_type = 'quote'
    and (before::text like '%margin%' or after::text like '%margin%')`
  t.equal(events.length, 0, 'events')
})

t.test(
  'a hidden column that its trigger does not know is found, and so is the reverse',
  async t => {
    const sql = app.services.database.pool
    t.same(await hiddenColumnMistakes(sql), [])
    const watchAgain = async (hidden: string) =>
      await admin.unsafe(`
      drop trigger events_of_insert on quotes; drop trigger events_of_update on quotes;
      drop trigger events_of_delete on quotes; drop trigger events_of_truncate on quotes;
      call watch_records('quotes', 'quote', '${hidden}')`)
    await watchAgain('{}')
    t.same(await hiddenColumnMistakes(sql), ['quotes.margin is hidden, but not in events'])
    await watchAgain('{margin,title}')
    t.same(await hiddenColumnMistakes(sql), ['quotes.title is hidden only in events'])
    await watchAgain('{margin}')
  }
)

t.test('it has external IDs, and is matched by them and by what it declares', async t => {
  const { call } = await organization(app)
  const external_ids = { erp: 'Q/1' }
  const { id } = (await call('POST /api/quotes', { title: 'Offer', external_ids })).json()
  t.match((await call('GET /api/quotes/external/erp/Q%2F1')).json(), { id, external_ids })
  t.match((await call('GET /api/quotes?external[erp]=Q/1')).json(), { data: [{ id }] })
  const put = await call('PUT /api/quotes/external/erp/Q%2F1', { title: 'Better' })
  t.match([put.statusCode, put.json()], [200, { id, title: 'Better' }])
  for (const match of ['title', 'external:erp']) {
    const body = { title: 'Better', external_ids }
    const matched = await call(`POST /api/quotes?match=${match}`, body)
    t.match([matched.statusCode, matched.json()], [200, { id, version: 2 }], match)
  }
  t.match((await call('POST /api/quotes', { title: 'Other', external_ids })).json(), {
    status: 409,
    errors: [{ pointer: '/external_ids/erp' }]
  })
})

t.test('the timeline of an opportunity names it', async t => {
  const { call } = await organization(app)
  const opportunity = (await call('POST /api/opportunities', { title: 'Sale' })).json()
  const { id } = (
    await call('POST /api/quotes', { title: 'Offer 4711', opportunity_id: opportunity.id })
  ).json()
  const { data } = (
    await call(`GET /api/opportunities/${opportunity.id}/timeline?kind=link`)
  ).json()
  t.match(data, [
    {
      kind: 'link',
      title: 'Quote added: Offer 4711',
      links: [{ type: 'quote', id, name: 'Offer 4711' }]
    }
  ])
})

t.test('undoing a conversion leaves an opportunity that it refers to', async t => {
  const { call } = await organization(app)
  const lead = (await call('POST /api/leads', {})).json()
  const conversion = `/api/leads/${lead.id}/conversion`
  const { opportunity } = (
    await call(`POST ${conversion}`, { opportunity: { title: 'Sale' } })
  ).json()
  await call('POST /api/quotes', { title: 'Offer', opportunity_id: opportunity.id })
  t.match((await call(`DELETE ${conversion}`)).json(), {
    left: [{ type: 'opportunity', id: opportunity.id, reason: 'It is used by quotes.' }]
  })
  t.equal((await call(`GET /api/opportunities/${opportunity.id}`)).statusCode, 200)
})

t.test('the access matrix covers it', async t => {
  const requests = await assertAccess(t, app, [['quotes', () => ({})]])
  const operations = Object.entries(documentOf(app).paths)
    .filter(([path]) => path.startsWith('/api/quotes'))
    .flatMap(([, methods]) => Object.keys(methods))
  const what = 'those of a record, its tags, external IDs, shares, and changes by filter'
  t.equal(operations.length, 18, what)
  t.equal(requests.filter(request => request.includes('/api/quotes')).length, operations.length)
})
