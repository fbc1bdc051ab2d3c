import t from 'tap'
import { languages } from '../../../src/modules/automation/scoring/languages.ts'
import { application, organization, work } from '../../support/app.ts'
import { behavesLikeARecord } from '../../support/record.ts'
import { type Json, type Rule, rule, create, model, lead, all } from './scoring.ts'

const app = await application(t)

t.test('a scoring model', t =>
  behavesLikeARecord(t, app, '/api/scoring-models', {
    valid: () => ({
      name: 'Website',
      rules: [rule('source', 'in', 'website,fair', 20), rule('contact.email', 'null', 'false', -5)],
      bands: { A: 20, B: 10, C: 0 }
    }),
    change: { name: 'Other' },
    invalid: [
      [{ name: '' }, '/name'],
      [{ status: 'maybe' }, '/status'],
      [{ rules: {} }, '/rules'],
      [{ rules: [{}] }, '/rules/0/field'],
      [{ rules: [rule('source', 'is', 'x')] }, '/rules/0/operator'],
      [{ rules: [{ ...rule('source', 'eq', 'x'), points: 1.5 }] }, '/rules/0/points'],
      [{ rules: [{ ...rule('source', 'eq', 'x'), value: 5 }] }, '/rules/0/value'],
      [{ rules: Array.from({ length: 101 }, () => rule('source', 'eq', 'x')) }, '/rules'],
      [{ bands: { A: 1, B: 0 } }, '/bands/C'],
      [{ bands: { A: 1, B: 0, C: '-1' } }, '/bands/C']
    ]
  })
)

t.test('a rule that is not a filter is refused with a pointer', async t => {
  const { call } = await organization(app)
  for (const [field, operator, value, pointer] of [
    ['nonsense', 'eq', 'x', 'field'],
    ['contact.nonsense', 'eq', 'x', 'field'],
    ['contact.contact.email', 'eq', 'x', 'field'],
    ['score', 'gt', '5', 'field'],
    ['grade', 'eq', 'A', 'field'],
    ['updated_at', 'gt', '2026-01-01', 'field'],
    ['assigned_to', 'eq', '1', 'field'],
    ['source', 'like', 'web', 'operator'],
    ['source', 'any', '1', 'operator'],
    ['contact.first_name', 'null', 'true', 'operator'],
    ['contact.email', 'null', 'maybe', 'value'],
    ['status', 'eq', 'lost', 'value'],
    ['contact.created_at', 'gte', '01', 'value'],
    ['tags', 'any', 'a', 'value'],
    ['contact.created_at', 'gte', 'yesterday', 'value'],
    ['contact.company', 'like', '', 'value']
  ] as const) {
    if (pointer === 'field')
      t.same(
        (
          await call('POST /api/scoring-models', {
            name: 'x',
            rules: [rule(field.slice(0, 60), operator, value)]
          })
        ).statusCode,
        field.includes('.contact.') ? 400 : 422
      )
    if (field.includes('.contact.')) continue
    const refused = await call('POST /api/scoring-models', {
      name: 'x',
      rules: [rule('source', 'eq', 'x'), rule(field, operator, value)]
    })
    t.match(
      [refused.statusCode, refused.json().code, refused.json().errors?.[0].pointer],
      [422, 'rule_broken', `/rules/1/${pointer}`],
      `${field}[${operator}]=${value}`
    )
  }
  const { id } = await model(call, [], { status: 'draft' })
  t.match(
    (await call(`PATCH /api/scoring-models/${id}`, { rules: [rule('nonsense', 'eq', 'x')] })).json()
      .errors[0].pointer,
    '/rules/0/field'
  )
  for (const bands of [
    { A: 1, B: 1, C: 0 },
    { A: 1, B: 2, C: 0 },
    { A: 3, B: 2, C: 2 }
  ]) {
    t.match((await call(`PATCH /api/scoring-models/${id}`, { bands })).json(), {
      status: 422,
      errors: [{ pointer: '/bands' }]
    })
  }
  t.equal((await call(`GET /api/scoring-models/${id}`)).json().version, 1)
})

t.test('a rule applies to the leads that the list selects by its filter', async t => {
  const { call } = await organization(app)
  const tags = [
    (await create(call, '/api/tags', { name: 'hot' })).id,
    (await create(call, '/api/tags', { name: 'cold' })).id
  ]
  const account_id = (await create(call, '/api/accounts', { name: 'Acme' })).id
  const full = {
    first_name: 'Zoë',
    last_name: "O'Neil",
    email: 'zoe@example.com',
    phone: '+1 (2) 3',
    company: 'Ex & Co, 50%',
    position: 'a=b',
    account_id,
    tags
  }
  const contacts = [
    await create(call, '/api/contacts', full),
    await create(call, '/api/contacts', { first_name: 'Ann', last_name: 'Bo', tags: tags.slice(1) })
  ]
  for (const contact_id of [contacts[0]!.id, contacts[1]!.id, null]) {
    await create(call, '/api/leads', { contact_id, source: 'website', tags })
    await create(call, '/api/leads', {
      contact_id,
      status: 'contacted',
      source: 'fair+show',
      tags: tags.slice(0, 1)
    })
    await create(call, '/api/leads', { contact_id })
  }
  const samples = {
    lead: (await all(call)).find(
      ({ contact_id, source }) => contact_id && source
    )! as unknown as Json,
    contact: (await call(`GET /api/contacts/${contacts[0]!.id}`)).json<Json>()
  }
  const rules = (['lead', 'contact'] as const).flatMap(of =>
    Object.keys(languages[of].language.parameters).flatMap(name => {
      const [, field = '', operator = 'eq'] = /^(\w+)(?:\[(\w+)\])?$/.exec(name)!
      const sample = String((samples[of][field] as string | null) ?? 1)
      const byOperator: Record<string, string[]> = {
        null: ['true', 'false'],
        like: [sample.slice(0, 3).toUpperCase(), '%'],
        any: [tags.join(), String(tags[1])],
        all: [tags.join(), String(tags[1])],
        in: [sample.split(',')[0]!]
      }
      const values = byOperator[operator] ?? [sample]
      return values.map(value => rule(languages[of].prefix + field, operator, value))
    })
  )
  t.ok(rules.length > 60, `${rules.length} rules`)
  t.same(
    new Set(rules.map(({ operator }) => operator)),
    new Set(['eq', 'in', 'gt', 'gte', 'lt', 'lte', 'like', 'null', 'any', 'all'])
  )

  const seen = new Set<boolean>()
  for (let from = 0; from < rules.length; from += 40) {
    const part = rules.slice(from, from + 40)
    const { id } = await model(call, part, { status: 'draft' })
    const explained = new Map<number, (Rule & { matched: boolean })[]>()
    for (const { id: lead_id } of await all(call))
      explained.set(
        lead_id,
        (await call(`GET /api/leads/${lead_id}/score?model=${id}`)).json().rules
      )
    for (const [i, { field, operator, value }] of part.entries()) {
      const name = field.replace('contact.', '')
      const parameter = operator === 'eq' ? name : `${name}[${operator}]`
      const query = new URLSearchParams([[parameter, value]]).toString()
      const list = await all<{ id: number }>(
        call,
        `/api/${field === name ? 'leads' : 'contacts'}?${query}`
      )
      const found = new Set(list.map(({ id }) => id))
      for (const one of await all(call)) {
        const expected = found.has(field === name ? one.id : (one.contact_id ?? 0))
        seen.add(expected)
        if (explained.get(one.id)![i]!.matched !== expected)
          t.fail(`${field}[${operator}]=${value} of ${JSON.stringify(one)}`)
      }
    }
  }
  t.same(seen, new Set([true, false]))
})

t.test(
  'scores and models are private to an organization, and only admins change models',
  async t => {
    const ours = await organization(app)
    const other = await organization(app)
    const { id } = await model(ours.call, [])
    const mine = await create(ours.call, '/api/leads', {})
    const theirs = await create(other.call, '/api/leads', { score: 3 })
    t.equal((await other.call(`GET /api/leads/${mine.id}/score`)).statusCode, 404)
    t.match((await other.call(`GET /api/leads/${theirs.id}/score?model=${id}`)).json(), {
      status: 400,
      errors: [{ parameter: 'model' }]
    })
    t.equal((await other.call(`GET /api/leads/${theirs.id}/score?model=x`)).statusCode, 400)
    await work(app)
    t.match(await lead(other.call, theirs.id), { score: 3, grade: null, version: 1 })
    const { call } = await ours.user('user')
    t.equal((await call('POST /api/scoring-models', { name: 'x' })).statusCode, 403)
    t.equal((await call(`GET /api/leads/${mine.id}/score?model=${id}`)).statusCode, 200)
  }
)

t.test('assignment rules can use the score', async t => {
  const { call, user } = await organization(app)
  const {
    user: { id: senior }
  } = await user('user')
  await model(call, [rule('source', 'eq', 'referral', 90)])
  await create(call, '/api/assignment-rules', {
    name: 'Promising',
    resource: 'leads',
    status: 'active',
    filter: 'score[gte]=80',
    user_id: senior
  })
  t.match(await create(call, '/api/leads', { source: 'referral' }), {
    score: 90,
    grade: 'A',
    assigned_to: senior
  })
  t.match(await create(call, '/api/leads', { source: 'fair' }), {
    score: 0,
    grade: 'D',
    assigned_to: null
  })
})
