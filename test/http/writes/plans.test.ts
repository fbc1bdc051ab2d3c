import { test, type Test } from 'tap'
import { application, bearer, caller, organization, type Call } from '../../support/app.ts'
import { hiding, userWith } from '../../support/field-rights.ts'

const person = { first_name: 'Eva', last_name: 'Ek' }
const dry = { prefer: 'dry-run' }

/** An application with an organization, and a contact. */
async function set(t: Test) {
  const app = await application(t)
  const one = await organization(app)
  const { id } = (await one.call('POST /api/contacts', person)).json()
  return { app, ...one, path: `/api/contacts/${id}`, id: id as number }
}

async function planOf(call: Call, request: string, body?: object): Promise<string> {
  const answer = await call(request, body, dry)
  return String(answer.headers.plan)
}

test('a plan commits the effects that it was made of, once', async t => {
  const { call, path, id } = await set(t)
  const tried = await call(`PATCH ${path}`, { last_name: 'Lind' }, dry)
  const effect = { type: 'contact', id, version: 2, op: 'updated', changed: ['last_name'] }
  t.same(tried.json().effects, [effect])
  t.equal(tried.json().last_name, 'Lind')
  t.notOk(tried.headers.etag ?? tried.headers.location)
  t.equal((await call(`GET ${path}`)).json().last_name, 'Ek')
  const headers = { 'if-plan': String(tried.headers.plan) }
  t.equal((await call(`PATCH ${path}`, { last_name: 'Lind' }, headers)).json().version, 2)
  const again = await call(`PATCH ${path}`, { last_name: 'Lind' }, headers)
  t.equal(again.statusCode, 412)
  t.same(again.json().effects, [], 'it has no effects any more')
})

test('a plan whose effects have changed is refused with those that differ', async t => {
  const { call, path, id } = await set(t)
  const plan = await planOf(call, `DELETE ${path}`)
  await call(`PATCH ${path}`, { last_name: 'Lind' })
  const refused = await call(`DELETE ${path}`, undefined, { 'if-plan': plan })
  t.equal(refused.statusCode, 412)
  t.equal(refused.json().code, 'plan_stale')
  const effect = { type: 'contact', id, version: 3, op: 'deleted', changed: ['deleted_at'] }
  t.same(refused.json().effects, [effect])
  t.equal((await call(`GET ${path}`)).json().version, 2, 'nothing was changed')
  const next = await planOf(call, `DELETE ${path}`)
  t.equal((await call(`DELETE ${path}`, undefined, { 'if-plan': next })).statusCode, 204)
})

test('under concurrent writers, a plan commits only the effects that were shown', async t => {
  const { call, path } = await set(t)
  const outcomes = new Set<number>()
  for (let i = 0; i < 30; i++) {
    const body = { position: `planned ${i}` }
    const tried = await call(`PATCH ${path}`, body, dry)
    const other = async () => await call(`PATCH ${path}`, { company: `other ${i}` })
    const planned = async () =>
      await call(`PATCH ${path}`, body, { 'if-plan': String(tried.headers.plan) })
    const [done] = await Promise.all(i % 2 ? [planned(), other()] : [planned()])
    outcomes.add(done.statusCode)
    if (done.statusCode === 200) t.equal(done.json().version, tried.json().version)
    else t.equal(done.json().code, 'plan_stale')
    const { position, company } = (await call(`GET ${path}`)).json()
    t.equal(position === body.position, done.statusCode === 200)
    t.equal(company, i % 2 ? `other ${i}` : company)
  }
  t.ok(outcomes.has(200))
})

test('a plan is of one request of one caller, for 15 minutes', async t => {
  const { app, call, path, user } = await set(t)
  const other = await user('admin')
  const plan = await planOf(call, `DELETE ${path}`)
  const refused: [Call, string, string, object?][] = [
    [other.call, `DELETE ${path}`, plan],
    [call, `PATCH ${path}`, plan, { last_name: 'Lind' }],
    [call, `DELETE ${path}`, plan.slice(0, -1) + (plan.endsWith('A') ? 'B' : 'A')],
    [call, `DELETE ${path}`, 'sha256:1'],
    [call, `DELETE ${path}`, '']
  ]
  for (const [as, request, header, body] of refused)
    t.equal((await as(request, body, { 'if-plan': header })).statusCode, 400, request)
  const both = await call(`DELETE ${path}`, undefined, { ...dry, 'if-plan': plan })
  t.equal(both.statusCode, 400)

  const { now } = Date
  Date.now = () => now() - 15 * 60_000 - 1_000
  const old = await planOf(call, `DELETE ${path}`)
  Date.now = now
  const expired = await call(`DELETE ${path}`, undefined, { 'if-plan': old })
  t.equal(expired.statusCode, 412)
  t.match(expired.json().detail, 'expired')
  t.ok(app)
})

test('a token that requires plans deletes nothing that it has not shown', async t => {
  const { app, call, path } = await set(t)
  const token = { name: 'Agent', scopes: ['*'], risk: 'destructive', require_plan: true }
  const issued = await call('POST /api/api-tokens', token)
  t.equal(issued.json().require_plan, true)
  const agent = caller(app, bearer(issued.json().token))
  t.equal((await agent(`PATCH ${path}`, { last_name: 'Lind' })).statusCode, 200)
  const refused = await agent(`DELETE ${path}`)
  t.equal(refused.statusCode, 428)
  t.equal(refused.json().code, 'plan_required')
  const plan = await planOf(agent, `DELETE ${path}`)
  t.equal((await agent(`DELETE ${path}`, undefined, { 'if-plan': plan })).statusCode, 204)
})

test('a token that requires plans needs one for whatever is destructive', async t => {
  const { app, call, path } = await set(t)
  const token = { name: 'Agent', scopes: ['*'], risk: 'destructive', require_plan: true }
  const agent = caller(app, bearer((await call('POST /api/api-tokens', token)).json().token))
  const lead = (await call('POST /api/leads', {})).json()
  await call(`POST /api/leads/${lead.id}/conversion`, {})
  const operation = (await call('GET /api/operations')).json().data[0]
  await call('POST /api/contacts', { ...person, external_ids: { erp: '1' } })
  const contact = (await call('GET /api/contacts/external/erp/1')).json()
  await call(`DELETE /api/contacts/${contact.id}`)
  const campaign = (await call('POST /api/campaigns', { name: 'Fair' })).json()
  const many = Array.from({ length: 101 }, (_, i) => ({ ...person, last_name: `Ek ${i}` }))
  await Promise.all(many.map(async one => await call('POST /api/contacts', one)))
  const requests: [string, object?][] = [
    [`POST /api/operations/${operation.id}/undo`],
    [`DELETE /api/leads/${lead.id}/conversion`],
    ['PUT /api/contacts/external/erp/1?on_deleted=restore', person],
    [`POST /api/campaigns/${campaign.id}/members`, { resource: 'contacts', filter: '' }]
  ]
  for (const [request, body] of requests) {
    const refused = await agent(request, body)
    t.equal(refused.statusCode, 428, request)
    t.equal(refused.json().code, 'plan_required')
  }
  for (const [request, body] of requests.slice(1)) {
    const plan = await planOf(agent, request, body)
    const done = await agent(request, body, { 'if-plan': plan })
    t.ok(done.statusCode < 300, `${request} ${done.body}`)
  }
  t.equal((await agent(`PATCH ${path}`, { last_name: 'Lind' })).statusCode, 200)
})

test('a misspelled dry run is refused', async t => {
  const { call, path } = await set(t)
  for (const prefer of ['dry_run', 'dryrun', 'dry-run=1', 'handling=lenient, dry'])
    t.equal((await call(`DELETE ${path}`, undefined, { prefer })).statusCode, 400, prefer)
  t.equal((await call(`GET ${path}`)).statusCode, 200)
  for (const prefer of ['DRY-RUN', 'return=minimal, dry-run;x=1'])
    t.ok((await call(`DELETE ${path}`, undefined, { prefer })).json().effects, prefer)
})

test('effects name no field that the caller does not see', async t => {
  const one = await organization(await application(t))
  const { id } = (await one.call('POST /api/opportunities', { title: 'Deal' })).json()
  const { call } = await userWith(one, [hiding('opportunities', 'probability', 'closed_at')])
  const changed = async (as: Call) => {
    const tried = await as(`PATCH /api/opportunities/${id}`, { stage: 'won' }, dry)
    return tried.json().effects[0].changed as string[]
  }
  t.ok((await changed(one.call)).includes('probability'))
  t.same(await changed(call), ['moved_at', 'stage', 'status'])
})

test('a dry run that would fail fails, and keeps no key', async t => {
  const { call, path } = await set(t)
  const unknown = { ...person, account_id: 99 }
  const failed = await call('POST /api/contacts', unknown, { ...dry, 'idempotency-key': 'one' })
  t.equal(failed.statusCode, 422)
  t.notOk(failed.headers.plan)
  const tried = await call('POST /api/contacts', person, { ...dry, 'idempotency-key': 'one' })
  t.equal(tried.statusCode, 201)
  const done = await call('POST /api/contacts', person, { 'idempotency-key': 'one' })
  t.notOk(done.headers['idempotency-replayed'])
  t.equal((await call(`GET ${path}`)).statusCode, 200)
})
