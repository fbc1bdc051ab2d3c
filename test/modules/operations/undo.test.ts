// The undo of operations: what it gives back, what it leaves, and who may do it.
import t from 'tap'
import { accountService } from '../../../src/modules/crm/accounts/service.ts'
import { contactService } from '../../../src/modules/crm/contacts/service.ts'
import { opportunityService } from '../../../src/modules/sales/opportunities/service.ts'
import { application, bearer, caller, organization, ownerOf, type Call } from '../../support/app.ts'
import { everything, protecting, userWith } from '../../support/field-rights.ts'
import { convert, create, createLead, get } from '../sales/conversions.ts'
import { changeContacts, contact, contextOf } from './operations.ts'

const app = await application(t)
const owner = ownerOf(app)

/** A field that was left, with its values. */
const changed = (left: object, then: unknown, now: unknown) =>
  // oxlint-disable-next-line unicorn/no-thenable -- a name of the contract, and no function
  ({ ...left, then, now })

const latest = async (call: Call) => (await call('GET /api/operations?limit=1')).json().data[0]

t.test('an undo is an operation, is done once, and its undo is a redo', async t => {
  const one = await organization(app)
  const { call, admin } = one
  const { id } = await create(call, 'contacts', contact)
  const batch = await changeContacts(app, one, admin, {
    [id]: { company: 'New', last_name: 'Low' }
  })
  const undone = await call(`POST /api/operations/${batch}/undo`)
  t.equal(undone.statusCode, 201)
  const { operation, ...result } = undone.json()
  t.match(operation, { kind: 'undo', undo_of: batch, counts: { updated: 1 } })
  t.equal(undone.headers.location, `/api/operations/${operation.id}`)
  t.same(result, {
    undone: [{ type: 'contact', id, op: 'updated', fields: ['company', 'last_name'] }],
    left: []
  })
  t.match(await get(call, `contacts/${id}`), contact)
  t.match(await get(call, `operations/${batch}`), { undone_by: operation.id })
  t.match((await call(`POST /api/operations/${batch}/undo`)).json(), { status: 409 })
  const redone = (await call(`POST /api/operations/${operation.id}/undo`)).json()
  t.match(redone, { operation: { undo_of: operation.id } })
  t.match(await get(call, `contacts/${id}`), { company: 'New', last_name: 'Low' })
  t.equal((await call(`POST /api/operations/${batch}/undo`)).statusCode, 409, 'it was undone')
})

t.test('of concurrent undos one undoes, and the others are a 409', async t => {
  const one = await organization(app)
  const { id } = await create(one.call, 'contacts', contact)
  const batch = await changeContacts(app, one, one.admin, { [id]: { company: 'New' } })
  const answers = await Promise.all(
    Array.from({ length: 8 }, async () => await one.call(`POST /api/operations/${batch}/undo`))
  )
  t.same(
    answers.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b),
    [201, ...Array(7).fill(409)]
  )
  t.equal((await get(one.call, `contacts/${id}`)).version, 3, 'it was changed once')
})

t.test('what has changed since is left and listed; a strict undo changes nothing', async t => {
  const one = await organization(app)
  const { call } = one
  const { id } = await create(call, 'contacts', contact)
  const batch = await changeContacts(app, one, one.admin, {
    [id]: { company: 'New', last_name: 'Low' }
  })
  await call(`PATCH /api/contacts/${id}`, { company: 'Newer', position: 'CEO' })
  const left = [
    changed({ type: 'contact', id, reason: 'changed', field: 'company' }, 'New', 'Newer')
  ]
  const refused = await call(`POST /api/operations/${batch}/undo?strict=true`)
  t.match(refused.json(), { status: 409, code: 'changed_since', left })
  t.match(await get(call, `contacts/${id}`), { last_name: 'Low', version: 3 })
  t.match(await get(call, `operations/${batch}`), { undone_by: null })
  const undone = (await call(`POST /api/operations/${batch}/undo`)).json()
  t.same(undone.left, left)
  t.match(await get(call, `contacts/${id}`), {
    last_name: 'Lee',
    company: 'Newer',
    position: 'CEO'
  })
})

t.test('an undo of which nothing is possible is a 409, and can be tried again', async t => {
  const one = await organization(app)
  const { call } = one
  const { id } = await create(call, 'contacts', contact)
  const batch = await changeContacts(app, one, one.admin, { [id]: { company: 'New' } })
  await call(`PATCH /api/contacts/${id}`, { company: 'Newer' })
  t.match((await call(`POST /api/operations/${batch}/undo`)).json(), { code: 'changed_since' })
  await call(`PATCH /api/contacts/${id}`, { company: 'New' })
  t.equal((await call(`POST /api/operations/${batch}/undo`)).statusCode, 201)
})

t.test('after 30 days it is a 409', async t => {
  const one = await organization(app)
  const { id } = await create(one.call, 'contacts', contact)
  const batch = await changeContacts(app, one, one.admin, { [id]: { company: 'New' } })
  await owner`update operations set created_at = now() - interval '30 days 1 second'
    where organization_id = ${one.id} and id = ${batch}`
  t.match((await one.call(`POST /api/operations/${batch}/undo`)).json(), { status: 409 })
  t.match(await get(one.call, `contacts/${id}`), { company: 'New' })
})

t.test('what follows from a stage goes back with it, and not without', async t => {
  const one = await organization(app)
  const { call } = one
  const move = async (id: number, stage: string) =>
    await contextOf(app, one, one.admin).operation('batch', async ctx => {
      await opportunityService.update(ctx, id, { stage })
      return ctx.operation_id!
    })
  const sold = await create(call, 'opportunities', { title: 'Sold', amount: 5 })
  const won = await move(sold.id, 'won')
  t.match(await get(call, `opportunities/${sold.id}`), { status: 'won' })
  t.equal((await call(`POST /api/operations/${won}/undo`)).statusCode, 201)
  const { version: _, updated_at: _u, ...before } = sold
  t.match(await get(call, `opportunities/${sold.id}`), before, 'also moved_at and closed_at')
  const [latest, sale] = (await call(`GET /api/opportunities/${sold.id}/moves`)).json().data
  t.equal(latest.to_stage, sold.stage)
  t.ok(latest.moved_at >= sale.moved_at, 'its stage history goes on in time')

  const other = await create(call, 'opportunities', { title: 'Lost later', amount: 5 })
  const again = await move(other.id, 'won')
  await call(`PATCH /api/opportunities/${other.id}`, { stage: 'lost', lost_reason: 'Late' })
  t.match((await call(`POST /api/operations/${again}/undo`)).json(), {
    code: 'changed_since',
    left: [changed({ field: 'stage' }, 'won', 'lost'), changed({ field: 'probability' }, 100, 0)]
  })
  t.match(await get(call, `opportunities/${other.id}`), { stage: 'lost', status: 'lost' })
})

t.test('created records are deleted unless they were changed or are in use', async t => {
  const one = await organization(app)
  const { call } = one
  const batch = await contextOf(app, one, one.admin).operation('batch', async ctx => {
    for (const company of ['plain', 'changed', 'used'])
      await contactService.create(ctx, { ...contact, company })
    return ctx.operation_id!
  })
  const [plain, changed, used] = (await call(`GET /api/operations/${batch}/changes`))
    .json()
    .data.map(({ id }: { id: number }) => id)
  await call(`PATCH /api/contacts/${changed}`, { company: 'mine' })
  await create(call, 'leads', { contact_id: used })
  const { undone, left } = (await call(`POST /api/operations/${batch}/undo`)).json()
  t.same(undone, [{ type: 'contact', id: plain, op: 'deleted' }])
  t.match(left, [
    { type: 'contact', id: used, reason: 'in_use', used_by: ['leads'] },
    { type: 'contact', id: changed, reason: 'changed', field: 'company', now: 'mine' }
  ])
})

t.test('references go back only to records that exist, and into no cycle', async t => {
  const one = await organization(app)
  const { call } = one
  const [parent, child] = [
    await create(call, 'accounts', { name: 'Parent' }),
    await create(call, 'accounts', { name: 'Child' })
  ]
  await call(`PATCH /api/accounts/${child.id}`, { parent_account_id: parent.id })
  const ctx = contextOf(app, one, one.admin)
  const clear = async () =>
    await ctx.operation('batch', async ctx => {
      const changes = { parent_account_id: null, name: `Child ${Math.random()}` }
      await accountService.update(ctx, child.id, changes)
      return ctx.operation_id!
    })
  const first = await clear()
  await call(`DELETE /api/accounts/${parent.id}`)
  const undone = (await call(`POST /api/operations/${first}/undo`)).json()
  t.match(undone.left, [{ reason: 'unknown_reference', field: 'parent_account_id' }])
  t.match(await get(call, `accounts/${child.id}`), { name: 'Child', parent_account_id: null })

  await call(`POST /api/accounts/${parent.id}/restore`)
  await call(`PATCH /api/accounts/${child.id}`, { parent_account_id: parent.id })
  const second = await clear()
  await call(`PATCH /api/accounts/${parent.id}`, { parent_account_id: child.id })
  t.match((await call(`POST /api/operations/${second}/undo`)).json(), {
    code: 'changed_since',
    left: [{ type: 'account', id: child.id, reason: 'conflict' }]
  })
})

t.test('an undo keeps to the rights of who undoes, to records and to fields', async t => {
  const one = await organization(app)
  const grant = { resource: 'contacts', actions: everything, reach: 'own' }
  const own = await userWith(one, [grant])
  const [mine, theirs] = [
    await create(own.call, 'contacts', contact),
    await create(one.call, 'contacts', contact)
  ]
  const change = { company: 'New' }
  const batch = await changeContacts(app, one, own, { [mine.id]: change, [theirs.id]: change })
  const changes = (await own.call(`GET /api/operations/${batch}/changes`)).json().data
  t.same(
    changes.map((one: { id: number }) => one.id),
    [mine.id],
    'only what they may read'
  )
  const undone = (await own.call(`POST /api/operations/${batch}/undo`)).json()
  t.match(undone, { undone: [{ id: mine.id }], left: [] })
  t.match(await get(one.call, `contacts/${theirs.id}`), change)

  const all = { ...grant, reach: 'all' }
  const limited = await userWith(one, [protecting('contacts', 'company')])
  const both = { company: 'Newest', position: 'CEO' }
  const second = await changeContacts(app, one, limited, { [mine.id]: both })
  t.match((await limited.call(`POST /api/operations/${second}/undo`)).json(), {
    undone: [{ fields: ['position'] }],
    left: [{ field: 'company', reason: 'forbidden' }]
  })
  const blind = await userWith(one, [{ ...all, hidden_fields: ['company'] }])
  const third = await changeContacts(app, one, blind, {
    [mine.id]: { company: 'Secret', position: 'CTO' }
  })
  const shown = await blind.call(`GET /api/operations/${third}/changes`)
  t.notMatch(shown.body, /Secret|company/)
  const answer = await blind.call(`POST /api/operations/${third}/undo`)
  t.match(answer.json(), { undone: [{ fields: ['position'] }], left: [] })
  t.notMatch(answer.body, /Secret|company/)

  const reader = await userWith(one, [{ ...all, actions: ['read'] }])
  const fourth = await changeContacts(app, one, reader, { [mine.id]: { position: 'COO' } })
  t.match((await reader.call(`POST /api/operations/${fourth}/undo`)).json(), {
    status: 403,
    code: 'forbidden'
  })
  t.match(await get(one.call, `contacts/${mine.id}`), { position: 'COO' })
})

t.test('an API token sees and undoes the operations of its user, within its scopes', async t => {
  const one = await organization(app)
  const { id } = await create(one.call, 'contacts', contact)
  const tokenWith = async (scopes: string[], risk: string) => {
    const made = await one.call('POST /api/api-tokens', { name: 'T', scopes, risk })
    return caller(app, bearer(made.json().token))
  }
  const weak = await tokenWith(['operations:read', 'contacts:read'], 'read')
  const strong = await tokenWith(['*'], 'destructive')
  const batch = await changeContacts(app, one, one.admin, { [id]: { company: 'New' } })
  t.equal((await weak(`GET /api/operations/${batch}`)).statusCode, 200)
  t.equal((await weak(`POST /api/operations/${batch}/undo`)).statusCode, 403)
  const undone = await strong(`POST /api/operations/${batch}/undo`)
  t.match(undone.json().operation, { api_token_id: Number, session_id: null })
})

t.test('a conversion of before there were operations is undone as well', async t => {
  const { call, id: organization_id } = await organization(app)
  const lead = await createLead(call)
  const { account, opportunity } = await convert(call, lead, {})
  await owner.begin(async sql => {
    await sql`alter table events disable trigger events_are_final`
    await sql`update events set operation_id = null where organization_id = ${organization_id}`
    await sql`alter table events enable trigger events_are_final`
  })
  t.match((await call(`DELETE /api/leads/${lead.id}/conversion`)).json(), {
    lead: { status: 'new' },
    undone: [
      { type: 'opportunity', id: opportunity.id },
      { type: 'contact', id: lead.contact_id, fields: ['account_id'] },
      { type: 'account', id: account.id }
    ],
    left: []
  })
})

t.test('a conversion that was undone and redone can be undone as before', async t => {
  const { call } = await organization(app)
  const lead = await createLead(call)
  const { opportunity } = await convert(call, lead, {})
  const { id } = await latest(call)
  await call(`DELETE /api/leads/${lead.id}/conversion`)
  const undo = await latest(call)
  t.match(undo, { kind: 'undo', undo_of: id })
  const redone = (await call(`POST /api/operations/${undo.id}/undo`)).json()
  t.same(redone.left, [])
  t.match(await get(call, `leads/${lead.id}/conversion`), { opportunity: { id: opportunity.id } })
  t.match((await call(`DELETE /api/leads/${lead.id}/conversion`)).json(), {
    lead: { status: 'new', contact_id: lead.contact_id },
    left: []
  })
})

t.test('a conversion remains whole for who may not give its lead back', async t => {
  const one = await organization(app)
  const { call } = one
  const partner = await one.user('partner')
  const assigned_to = partner.user.id
  const person = await create(call, 'contacts', { ...contact, assigned_to })
  const lead = await create(call, 'leads', { contact_id: person.id, assigned_to })
  const conversion = `/api/leads/${lead.id}/conversion`
  const made = await convert(partner.call, lead, {})
  const { id } = await latest(partner.call)
  for (const path of [`leads/${lead.id}`, `contacts/${person.id}`])
    await call(`PATCH /api/${path}`, { assigned_to: one.admin.user.id })
  const before = (await call(`GET ${conversion}`)).json()
  const refused = await partner.call(`POST /api/operations/${id}/undo`)
  t.equal(refused.statusCode, 409)
  t.notMatch(refused.body, `"type":"conversion"`)
  t.same((await call(`GET ${conversion}`)).json(), before)
  t.match((await call(`DELETE ${conversion}`)).json(), {
    lead: { status: 'new' },
    undone: [{ id: made.opportunity.id }, { id: person.id }, { id: made.account.id }],
    left: []
  })
})

t.test('so it does where only the status may not be changed', async t => {
  const one = await organization(app)
  const limited = await userWith(one, [
    protecting('leads', 'status'),
    { resource: 'operations', actions: ['read', 'update'], reach: 'all' },
    protecting('contacts')
  ])
  const person = await create(one.call, 'contacts', { ...contact, company: null })
  const lead = await create(one.call, 'leads', {})
  await convert(one.call, lead, { contact: { id: person.id }, opportunity: null })
  const { id } = await latest(one.call)
  const undone = (await limited.call(`POST /api/operations/${id}/undo`)).json()
  t.same(undone.undone, [{ type: 'lead', id: lead.id, op: 'updated', fields: ['contact_id'] }])
  t.match(undone.left, [{ type: 'lead', field: 'status', reason: 'forbidden' }])
  t.match(await get(one.call, `leads/${lead.id}`), { status: 'converted', contact_id: null })
  t.match((await one.call(`GET /api/leads/${lead.id}/conversion`)).json(), {
    contact: { id: person.id }
  })
})
