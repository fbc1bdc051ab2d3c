// Operations: what they tell, and whom.
import t from 'tap'
import { Context } from '../../../src/core/access/context.ts'
import { repository } from '../../../src/core/records/repository.ts'
import { contactResource } from '../../../src/modules/crm/contacts/resource.ts'
import { application, organization, ownerOf } from '../../support/app.ts'
import { userWith } from '../../support/field-rights.ts'
import { convert, create, createLead, get, person } from '../sales/conversions.ts'
import { changeContacts, contact, contextOf } from './operations.ts'

const app = await application(t)
const owner = ownerOf(app)

t.test('a conversion is an operation that says who did what', async t => {
  const { call, admin } = await organization(app)
  const lead = await createLead(call)
  const { opportunity, account } = await convert(call, lead, {})
  const operation = (await call('GET /api/operations')).json().data[0]
  t.match(operation, {
    kind: 'conversion',
    created_by: admin.user.id,
    session_id: Number,
    api_token_id: null,
    request_id: String,
    undo_of: null,
    undone_by: null,
    counts: { created: 2, updated: 2, deleted: 0, restored: 0 }
  })
  t.equal(
    Date.parse(operation.undoable_until) - Date.parse(operation.created_at),
    30 * 24 * 3_600_000
  )
  t.same(await get(call, `operations/${operation.id}`), operation)
  const { data } = (await call(`GET /api/operations/${operation.id}/changes`)).json()
  t.match(
    data.map(({ type, op, id, name }: Record<string, unknown>) => [type, op, id, name]),
    [
      ['account', 'created', account.id, person.company],
      ['contact', 'updated', lead.contact_id, 'Zoë Müller'],
      ['opportunity', 'created', opportunity.id, person.company],
      ['lead', 'updated', lead.id, String]
    ]
  )
  const page = (await call(`GET /api/operations/${operation.id}/changes?limit=3`)).json()
  t.equal(page.has_more, true)
  const rest = await call(`GET /api/operations/${operation.id}/changes?cursor=${page.next_cursor}`)
  t.same(rest.json().data, data.slice(3))
  const history = (await call(`GET /api/leads/${lead.id}/history`)).json().data
  t.match(
    history.map(({ operation_id }: { operation_id: number }) => operation_id),
    [operation.id, null]
  )
  const audited = (await call(`GET /api/audit?operation_id=${operation.id}`)).json().data
  t.equal(audited.length, 5, 'the audit log has the conversion itself, too')
})

t.test('operations are filtered by kind, user and time', async t => {
  const one = await organization(app)
  const { call, admin } = one
  const { id } = await create(call, 'contacts', contact)
  const batch = await changeContacts(app, one, admin, { [id]: { company: 'New' } })
  await convert(call, await createLead(call), {})
  const ids = async (query: string) =>
    (await call(`GET /api/operations?${query}`)).json().data.map((o: { id: number }) => o.id)
  t.same(await ids('kind=batch'), [batch])
  t.same((await ids(`created_by=${admin.user.id}`)).length, 2)
  t.same(await ids('created_at[gt]=2999-01-01'), [])
  t.same(await ids('kind=nothing'), [])
  const csv = await call('GET /api/operations', undefined, { accept: 'text/csv' })
  t.match(csv.body, /conversion/)
})

t.test('users see, and undo, their own operations; administrators all', async t => {
  const one = await organization(app)
  const [seller, colleague] = [await one.user('user'), await one.user('user')]
  const { id } = await create(seller.call, 'contacts', contact)
  const batch = await changeContacts(app, one, seller, { [id]: { company: 'New' } })
  for (const request of ['GET /api/operations/@', 'GET /api/operations/@/changes'])
    for (const [who, status] of [
      [seller, 200],
      [one, 200],
      [colleague, 404],
      [await organization(app), 404]
    ] as const) {
      const answer = await who.call(request.replace('@', String(batch)))
      t.equal(answer.statusCode, status, request)
    }
  t.same((await colleague.call('GET /api/operations')).json().data, [])
  t.equal((await colleague.call(`POST /api/operations/${batch}/undo`)).statusCode, 404)
  t.equal((await seller.call(`POST /api/operations/${batch}/undo`)).statusCode, 201)
})

t.test('counts tell of other users only what the caller may read', async t => {
  const one = await organization(app)
  const { id } = await create(one.call, 'contacts', contact)
  const batch = await changeContacts(app, one, one.admin, { [id]: { company: 'New' } })
  const watcher = await userWith(one, [
    { resource: 'operations', actions: ['read'], reach: 'all' },
    { resource: 'contacts', actions: ['read'], reach: 'own' }
  ])
  t.match(await get(watcher.call, `operations/${batch}`), { counts: { updated: 0 } })
  t.same((await watcher.call(`GET /api/operations/${batch}/changes`)).json().data, [])
})

t.test('an operation within an operation is a part of it', async t => {
  const one = await organization(app)
  const ids = await contextOf(app, one, one.admin).operation('batch', async ctx => [
    ctx.operation_id,
    await ctx.operation('mass_update', async ctx => ctx.operation_id)
  ])
  t.equal(ids[0], ids[1])
})

t.test('the chain of events covers the operation, and those before operations', async t => {
  const one = await organization(app)
  const { id } = await create(one.call, 'contacts', contact)
  await changeContacts(app, one, one.admin, { [id]: { company: 'New' } })
  await app.services.sequencer.catchUp()
  const verified = async () => (await one.call('GET /api/audit/verification')).json().is_intact
  t.equal(await verified(), true)
  await owner.begin(async sql => {
    await sql`alter table events disable trigger events_are_final`
    await sql`update events set operation_id = 1
      where organization_id = ${one.id} and operation_id is not null`
    await sql`alter table events enable trigger events_are_final`
  })
  t.equal(await verified(), false)
})

t.test('the system has operations, too', async t => {
  const one = await organization(app)
  const { id } = await create(one.call, 'contacts', contact)
  const ctx = Context.system(app.services, one.id)
  const batch = await ctx.operation('batch', async ctx => {
    await repository(contactResource).updateMany(ctx, [{ id, company: 'New' }])
    return ctx.operation_id!
  })
  t.match(await get(one.call, `operations/${batch}`), { created_by: null, counts: { updated: 1 } })
  t.match((await one.call(`POST /api/operations/${batch}/undo`)).json(), { undone: [{ id }] })
})
