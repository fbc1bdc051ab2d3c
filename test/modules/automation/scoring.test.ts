// How leads are scored: by rules that are filters of lists, at once and in the background.
import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Context } from '../../../src/core/access/context.ts'
import { leadService as leads } from '../../../src/modules/crm/leads/service.ts'
import { languages } from '../../../src/modules/automation/scoring/languages.ts'
import {
  application,
  caller,
  database,
  login,
  organization,
  work,
  type Call
} from '../../support/app.ts'
import { behavesLikeARecord } from '../../support/record.ts'

type Json = Record<string, unknown>
interface Rule {
  field: string
  operator: string
  value: string
  points: number
}
interface Lead {
  id: number
  version: number
  contact_id: number | null
  source: string | null
  status: string
  score: number
  grade: string | null
  tags: number[]
}
interface Contact {
  id: number
  company: string | null
  position: string | null
}

const app = await application(t)
const sql = app.services.database.pool
const rule = (field: string, operator: string, value: string, points = 1): Rule => ({
  field,
  operator,
  value,
  points
})
const made = async <T = Lead>(call: Call, path: string, body: Json): Promise<T> => {
  const answer = await call(`POST ${path}`, body)
  if (answer.statusCode !== 201) throw new Error(answer.body)
  return answer.json()
}
const model = async (call: Call, rules: Rule[], more: Json = {}) =>
  await made<{ id: number; version: number }>(call, '/api/scoring-models', {
    name: 'A model',
    rules,
    status: 'active',
    ...more
  })
const lead = async (call: Call, id: number): Promise<Lead> =>
  (await call(`GET /api/leads/${id}`)).json()
const all = async <T = Lead>(call: Call, path = '/api/leads'): Promise<T[]> =>
  (await call(`GET ${path}`, undefined, { accept: 'application/x-ndjson' })).body
    .trim()
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line) as T)
const jobs = async () =>
  (
    await sql<{ count: number }[]>`select count(*) from graphile_worker.jobs where run_at <= now()`
  )[0]!.count

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

t.test(
  'a rule applies to the leads that the list selects by this filter, whatever the field and ' +
    'the operator',
  async t => {
    const { call } = await organization(app)
    const tags = [
      (await made(call, '/api/tags', { name: 'hot' })).id,
      (await made(call, '/api/tags', { name: 'cold' })).id
    ]
    const account_id = (await made(call, '/api/accounts', { name: 'Acme' })).id
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
      await made(call, '/api/contacts', full),
      await made(call, '/api/contacts', { first_name: 'Ann', last_name: 'Bo', tags: tags.slice(1) })
    ]
    for (const contact_id of [contacts[0]!.id, contacts[1]!.id, null]) {
      await made(call, '/api/leads', { contact_id, source: 'website', tags })
      await made(call, '/api/leads', {
        contact_id,
        status: 'contacted',
        source: 'fair+show',
        tags: tags.slice(0, 1)
      })
      await made(call, '/api/leads', { contact_id })
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
        const sample = String(samples[of][field])
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
  }
)

t.test('a score follows the lead, its contact and the rules', async t => {
  const { call } = await organization(app)
  const contact_id = (
    await made(call, '/api/contacts', {
      first_name: 'Ann',
      last_name: 'Bo',
      company: 'Example Corp'
    })
  ).id
  const old = await made(call, '/api/leads', { contact_id, source: 'fair', score: 7 })
  const other = await made(call, '/api/leads', {})
  t.match(old, { score: 7, grade: null }, 'by hand without a model')
  t.match((await call(`GET /api/leads/${old.id}/score`)).json(), {
    score: 7,
    grade: null,
    model: null,
    rules: []
  })

  const rules = [
    rule('source', 'eq', 'website', 50),
    rule('contact.company', 'like', 'EXAMPLE', 30),
    rule('status', 'in', 'qualified,converted', 20),
    rule('contact.email', 'null', 'true', -5)
  ]
  const draft = await model(call, rules, { status: 'draft' })
  t.equal(await jobs(), 0, 'a draft does nothing')
  t.match(
    (await call(`GET /api/leads/${old.id}/score?model=${draft.id}`)).json(),
    {
      score: 25,
      grade: 'D',
      model: { id: draft.id, name: 'A model', version: 1 },
      rules: [
        { ...rules[0], matched: false, actual: 'fair' },
        { ...rules[1], matched: true, actual: 'Example Corp' },
        { ...rules[2], matched: false, actual: 'new' },
        { ...rules[3], matched: true, actual: null }
      ]
    },
    'but can be tried'
  )
  t.match(
    (await call(`GET /api/leads/${other.id}/score?model=${draft.id}`)).json(),
    { score: 0, rules: [{}, {}, {}, { matched: false, actual: null }] },
    'no contact is no contact without e-mail'
  )

  await call(`PATCH /api/scoring-models/${draft.id}`, { status: 'active' })
  t.match(
    await lead(call, old.id),
    { score: 7, version: 1 },
    'the answer does not wait for the leads'
  )
  await work(app)
  t.match(await lead(call, old.id), { score: 25, grade: 'D', version: 2, updated_by: null })
  t.match(
    (await call(`GET /api/leads/${old.id}/history`)).json().data[0],
    { type: 'lead.updated', actor_id: null, changed: ['grade', 'score'] },
    'as a change by the system'
  )

  await t.test('within the change itself', async t => {
    const changed = await call(
      `PATCH /api/leads/${old.id}`,
      { source: 'website' },
      { 'if-match': '"2"' }
    )
    t.match(changed.json(), { source: 'website', score: 75, grade: 'B', version: 3 })
    t.same(
      (await call(`GET /api/leads/${old.id}/history`)).json().data[0].changed.toSorted(),
      ['grade', 'score', 'source'],
      'one change and one event'
    )
    t.equal(
      (await call(`PATCH /api/leads/${old.id}`, { source: 'fair' }, { 'if-match': '"2"' }))
        .statusCode,
      412
    )
    t.match(await made(call, '/api/leads', { contact_id, source: 'website' }), {
      score: 75,
      grade: 'B',
      version: 1
    })
    t.match(
      (await call(`POST /api/leads/${old.id}/qualification`, {})).json(),
      { status: 'qualified', score: 95, grade: 'A' },
      'a qualification as well'
    )
    t.match((await call(`PATCH /api/leads/${old.id}`, { contact_id: null })).json(), { score: 70 })
    t.match((await call(`PATCH /api/leads/${old.id}`, { contact_id })).json(), { score: 95 })
    t.equal(await jobs(), 0, 'and no job')
  })

  await t.test('a score that is sent is ignored', async t => {
    for (const refused of [
      await call('POST /api/leads', { score: 5 }),
      await call(`PATCH /api/leads/${old.id}`, { score: 5 })
    ]) {
      t.match(refused.json(), {
        status: 422,
        code: 'rule_broken',
        detail: /A model/,
        errors: [{ pointer: '/score' }]
      })
    }
    const { source, status, score } = await lead(call, old.id)
    t.match(
      (await call(`PUT /api/leads/${old.id}`, { source, status, score, tags: [] })).json(),
      { score: 95 },
      'saving a form as it was read is no mistake'
    )
    t.match((await call('POST /api/leads', { contact_id: 999_999 })).json(), {
      status: 422,
      errors: [{ pointer: '/contact_id' }]
    })
    t.match((await call(`PATCH /api/leads/${old.id}`, { contact_id: 999_999 })).json(), {
      status: 422,
      errors: [{ pointer: '/contact_id' }]
    })
    t.equal((await call('PATCH /api/leads/999999', { source: 'x' })).statusCode, 404)
  })

  await t.test('after a change of its contact', async t => {
    await call(`PATCH /api/contacts/${contact_id}`, {
      company: 'Sample Ltd',
      email: 'ann@example.com'
    })
    await work(app)
    t.match(await lead(call, old.id), { score: 70, grade: 'B' })
    await call(`DELETE /api/contacts/${contact_id}`)
    await work(app)
    t.match(await lead(call, old.id), { score: 70 }, 'one that is deleted has nothing')
    await call(`POST /api/contacts/${contact_id}/restore`)
    await call(`PATCH /api/contacts/${contact_id}`, { company: 'Example', email: null })
    await work(app)
    t.match(await lead(call, old.id), { score: 95 })
  })

  await t.test('after a restoration of the lead', async t => {
    const { id } = await made(call, '/api/leads', { source: 'website' })
    await call(`DELETE /api/leads/${id}`)
    await call(`PATCH /api/scoring-models/${draft.id}`, {
      rules: [rule('source', 'eq', 'website', 51), ...rules.slice(1)]
    })
    await work(app)
    t.match((await call(`POST /api/leads/${id}/restore`)).json(), { score: 51, deleted_at: null })
  })

  await t.test('after a change of the active model, and without one', async t => {
    const next = await model(call, [rule('source', 'eq', 'website', 60)], {
      name: 'Next',
      bands: { A: 60, B: 2, C: 1 }
    })
    t.match(
      (await call(`GET /api/scoring-models/${draft.id}`)).json(),
      { status: 'draft', version: 4 },
      'the one before is a draft'
    )
    await work(app)
    t.match(await lead(call, old.id), { score: 60, grade: 'A' })
    const explained = (await call(`GET /api/leads/${old.id}/score`)).json()
    t.match(explained, { score: 60, grade: 'A', model: { id: next.id } })
    await call(`DELETE /api/scoring-models/${next.id}`)
    t.match(
      (await call(`PATCH /api/leads/${other.id}`, { score: 42 })).json(),
      { score: 42 },
      'by hand again, at once'
    )
    await work(app)
    t.match(await lead(call, old.id), { score: 60, grade: null }, 'scores stay, grades go')
    await call(`POST /api/scoring-models/${next.id}/restore`)
    await work(app)
    t.match(
      [await lead(call, old.id), await lead(call, other.id)],
      [
        { score: 60, grade: 'A' },
        { score: 0, grade: 'D' }
      ]
    )
    await call(`DELETE /api/scoring-models/${next.id}`)
    await call(`PATCH /api/scoring-models/${draft.id}`, { status: 'active' })
    t.match(
      (await call(`POST /api/scoring-models/${next.id}/restore`)).json(),
      { status: 409, errors: [{ pointer: '/status' }] },
      'one is active at the most'
    )
  })
})

t.test("scores and models are private to an organization, and only admins change models", async t => {
  const ours = await organization(app)
  const stranger = await organization(app)
  const { id } = await model(ours.call, [])
  const mine = await made(ours.call, '/api/leads', {})
  const theirs = await made(stranger.call, '/api/leads', { score: 3 })
  t.equal((await stranger.call(`GET /api/leads/${mine.id}/score`)).statusCode, 404)
  t.match((await stranger.call(`GET /api/leads/${theirs.id}/score?model=${id}`)).json(), {
    status: 400,
    errors: [{ parameter: 'model' }]
  })
  t.equal((await stranger.call(`GET /api/leads/${theirs.id}/score?model=x`)).statusCode, 400)
  await work(app)
  t.match(await lead(stranger.call, theirs.id), { score: 3, grade: null, version: 1 })
  const { call } = await ours.user('user')
  t.equal((await call('POST /api/scoring-models', { name: 'x' })).statusCode, 403)
  t.equal((await call(`GET /api/leads/${mine.id}/score?model=${id}`)).statusCode, 200)
})

t.test('assignment rules can use the score', async t => {
  const { call, user } = await organization(app)
  const {
    user: { id: senior }
  } = await user('user')
  await model(call, [rule('source', 'eq', 'referral', 90)])
  await made(call, '/api/assignment-rules', {
    name: 'Promising',
    resource: 'leads',
    status: 'active',
    filter: 'score[gte]=80',
    user_id: senior
  })
  t.match(await made(call, '/api/leads', { source: 'referral' }), {
    score: 90,
    grade: 'A',
    assigned_to: senior
  })
  t.match(await made(call, '/api/leads', { source: 'fair' }), {
    score: 0,
    grade: 'D',
    assigned_to: null
  })
})

const random = <T>(values: readonly T[]): T => values[randomInt(values.length)]!
const sources = ['website', 'fair', 'referral', null] as const
const statuses = ['new', 'contacted', 'qualified', 'unqualified'] as const
const companies = ['Example Corp', 'Sample Ltd', null] as const
const positions = ['Buyer', 'Head of Buying', null] as const

/** Rules at random, and what each means in plain TypeScript. */
const kinds: (() => [
  string,
  string,
  string,
  (lead: Lead, contact: Contact | undefined) => boolean
])[] = [
  () => {
    const value = random(sources) ?? 'nowhere'
    return ['source', 'eq', value, lead => lead.source === value]
  },
  () => [
    'source',
    'in',
    'fair,referral',
    lead => lead.source === 'fair' || lead.source === 'referral'
  ],
  () => ['source', 'null', 'true', lead => lead.source === null],
  () => {
    const value = random(statuses)
    return ['status', 'eq', value, lead => lead.status === value]
  },
  () => ['contact_id', 'null', 'false', lead => lead.contact_id !== null],
  () => {
    const value = random(companies) ?? 'Nobody'
    return ['contact.company', 'eq', value, (_, contact) => contact?.company === value]
  },
  () => [
    'contact.position',
    'null',
    'true',
    (_, contact) => contact !== undefined && contact.position === null
  ],
  () => [
    'contact.company',
    'like',
    'EXAMPLE',
    (_, contact) => contact?.company?.includes('Example') ?? false
  ]
]
function randomModel() {
  const made = Array.from({ length: randomInt(1, 6) }, () => {
    const [field, operator, value, holds] = random(kinds)()
    return { ...rule(field, operator, value, randomInt(-20, 50)), holds }
  })
  const C = randomInt(-10, 20)
  const bands = { A: C + 40, B: C + randomInt(1, 40), C }
  return {
    body: { rules: made.map(({ holds: _, ...rule }) => rule), bands },
    truth(lead: Lead, contact: Contact | undefined) {
      const score = made.reduce(
        (sum, { holds, points }) => (holds(lead, contact) ? sum + points : sum),
        0
      )
      return {
        score,
        grade: (['A', 'B', 'C'] as const).find(grade => score >= bands[grade]) ?? 'D'
      }
    }
  }
}

t.test(
  'with 20 writers while models, contacts and workers change, every score is what the last ' +
    'rules say of what is there',
  async t => {
    for (let round = 0; round < 3; round++) {
      const { call } = await organization(app)
      const contacts = await Promise.all(
        Array.from({ length: 6 }, () =>
          made(call, '/api/contacts', {
            first_name: 'A',
            last_name: 'B',
            company: random(companies),
            position: random(positions)
          })
        )
      )
      const someContact = () => random([null, ...contacts.map(({ id }) => id)])
      const made_leads = await Promise.all(
        Array.from({ length: 30 }, () =>
          made(call, '/api/leads', {
            contact_id: someContact(),
            source: random(sources),
            status: random(statuses)
          })
        )
      )
      let present = randomModel()
      const { id } = await model(call, [], present.body)
      const writing = { on: true }
      const failures: string[] = []
      const expect = (answer: { statusCode: number; body: string }) => {
        if (answer.statusCode >= 400) failures.push(answer.body)
      }
      const workers = (async () => {
        while (writing.on) {
          await work(app)
          await sleep(5)
        }
      })()
      await Promise.all([
        ...Array.from({ length: 20 }, async (_, writer) => {
          for (let i = 0; i < 12; i++) {
            const change = random([
              () => ({ source: random(sources) }),
              () => ({ status: random(statuses) }),
              () => ({ contact_id: someContact() })
            ])()
            expect(
              i % 4 === 3
                ? await call('POST /api/leads', { ...change, contact_id: someContact() })
                : await call(`PATCH /api/leads/${random(made_leads).id}`, change)
            )
            if (writer % 5 === 0)
              expect(
                await call(`PATCH /api/contacts/${random(contacts).id}`, {
                  company: random(companies),
                  position: random(positions)
                })
              )
          }
        }),
        (async () => {
          for (let i = 0; i < 8; i++) {
            const next = randomModel()
            // also another model, and for a moment none
            if (i % 4 === 3)
              expect(await call(`PATCH /api/scoring-models/${id}`, { status: 'draft' }))
            expect(
              await call(`PATCH /api/scoring-models/${id}`, { ...next.body, status: 'active' })
            )
            present = next
            await sleep(15)
          }
        })()
      ])
      writing.on = false
      await workers
      await work(app)
      t.same(failures, [], 'nobody was refused')
      // the requests that met no model for a moment are scored when they must be over
      await sql`update graphile_worker._private_jobs set run_at = now()`
      await work(app)
      const now = new Map(
        (await all<Contact>(call, '/api/contacts')).map(contact => [contact.id, contact])
      )
      const there = await all(call)
      t.same(
        there.map(({ id, score, grade }) => ({ id, score, grade })),
        there.map(lead => ({ id: lead.id, ...present.truth(lead, now.get(lead.contact_id ?? 0)) }))
      )
      const some = random(there)
      const explained = (await call(`GET /api/leads/${some.id}/score`)).json<{
        score: number
        grade: string
        rules: (Rule & { matched: boolean })[]
      }>()
      t.match(explained, { score: some.score, grade: some.grade })
      t.equal(
        explained.rules.reduce((sum, { matched, points }) => (matched ? sum + points : sum), 0),
        some.score,
        'the explanation adds up'
      )
    }
  }
)

t.test(
  'a lead whose creation began before the first model became active is scored afterwards',
  async t => {
    const { call, id: organization_id, admin } = await organization(app)
    const ctx = new Context(app.services, {
      organization_id,
      user_id: admin.user.id,
      role: 'admin',
      session_id: null
    })
    const late = await ctx.transaction(async ctx => {
      const late = await leads.create(ctx, { source: 'website' })
      await model(call, [rule('source', 'eq', 'website', 10)])
      await work(app)
      return late
    })
    t.match(await lead(call, late.id), { score: 0, grade: null }, 'the workers could not see it')
    const [settled] = await sql<
      { seconds: number }[]
    >`select extract(epoch from run_at - now())::float8 as seconds from graphile_worker.jobs
      where key = ${`rescore_leads/${organization_id}/settled`}`
    t.ok(settled!.seconds > 20 && settled!.seconds <= 30)
    await sql`update graphile_worker._private_jobs set run_at = now()`
    await work(app)
    t.match(await lead(call, late.id), { score: 10, grade: 'D' })
  }
)

t.test(
  'rules and contacts do not change under a lead that is being written: its score is not ' +
    'what they were',
  async t => {
    const { call, id: organization_id, admin } = await organization(app)
    const ctx = new Context(app.services, {
      organization_id,
      user_id: admin.user.id,
      role: 'admin',
      session_id: null
    })
    const contact_id = (
      await made(call, '/api/contacts', { first_name: 'A', last_name: 'B', company: 'Old' })
    ).id
    const rules = [rule('source', 'eq', 'website', 1), rule('contact.company', 'eq', 'Old', 10)]
    const { id } = await model(call, rules)
    /** What somebody changes, with the job of it, while a lead is written and not committed. */
    const meanwhile = async (request: string, body: Json) => {
      let changing: Promise<void> | undefined
      const late = await ctx.transaction(async ctx => {
        const late = await leads.create(ctx, { contact_id, source: 'website' })
        changing = call(request, body).then(async ({ statusCode }) => {
          t.equal(statusCode, 200)
          await work(app)
        })
        await Promise.race([changing, sleep(500)])
        return late
      })
      await changing
      return (await lead(call, late.id)).score
    }
    t.equal(
      await meanwhile(`PATCH /api/scoring-models/${id}`, {
        rules: [rule('source', 'eq', 'website', 2), rules[1]]
      }),
      12
    )
    t.equal(await meanwhile(`PATCH /api/contacts/${contact_id}`, { company: 'New' }), 2)
  }
)

t.test('without an active model, a change costs one more short query, on an index', async t => {
  const { call } = await organization(app)
  const { id } = await made(call, '/api/leads', {})
  const sent: string[] = []
  const { point } = app.services.database
  const real = { point: point.unsafe.bind(point), pool: sql.unsafe.bind(sql) }
  point.unsafe = ((text: string, ...rest: []) => {
    sent.push(text)
    return real.point(text, ...rest)
  }) as typeof point.unsafe
  sql.unsafe = ((text: string, ...rest: []) => {
    sent.push(text)
    return real.pool(text, ...rest)
  }) as typeof sql.unsafe
  await call(`PATCH /api/leads/${id}`, { source: 'fair' })
  point.unsafe = real.point
  sql.unsafe = real.pool
  t.match(sent, [/scoring_models/, /update "leads"/])
  t.equal(sent.length, 2)
})

t.test(
  'rescoring 5,000 leads reads an index in batches, and no writer waits for it',
  async t => {
    const { call, id: organization_id } = await organization(app)
    await sql`insert into contacts (organization_id, first_name, last_name, company)
      select ${organization_id}, 'A', 'B' || n, 'Company ' || n % 10
      from generate_series(1, 1000) n`
    await sql`insert into leads (organization_id, source, contact_id)
      select ${organization_id}, 'source ' || n % 7,
      (select min(id) from contacts where organization_id = ${organization_id}) + n % 1000
      from generate_series(1, 5000) n`
    await sql`vacuum analyze`
    const rules = Array.from({ length: 7 }, (_, i) => rule('source', 'eq', `source ${i}`, i + 1))
    const { id } = await model(call, [...rules, rule('contact.company', 'eq', 'Company 3', 100)])

    const sent: [string, unknown[]][] = []
    const begin = sql.begin.bind(sql)
    sql.begin = (async (work: (connection: typeof sql) => Promise<unknown>) =>
      await begin(async connection => {
        const real = connection.unsafe.bind(connection)
        connection.unsafe = ((text: string, values: never[], options: object) => {
          sent.push([text, values])
          return real(text, values, options)
        }) as typeof connection.unsafe
        return await work(connection as unknown as typeof sql)
      })) as unknown as typeof sql.begin
    let waited = 0
    const working = { on: true }
    const first = (await call('GET /api/leads?sort=id&limit=1')).json().data[0] as Lead
    const writer = (async () => {
      for (let i = 0; working.on; i++) {
        const began = performance.now()
        const answer = await call(`PATCH /api/leads/${first.id + ((i * 37) % 5000)}`, {
          source: `source ${i % 7}`
        })
        if (answer.statusCode !== 200) throw new Error(answer.body)
        waited = Math.max(waited, performance.now() - began)
      }
    })()
    try {
      await work(app)
      const [{ id: contact_id }] = (await call('GET /api/contacts?limit=1')).json().data
      await call(`PATCH /api/contacts/${contact_id}`, { company: 'Company 3' })
      await work(app)
    } finally {
      working.on = false
      await writer
    }
    sql.begin = begin
    const wrong =
      await sql`select l.id from leads l join contacts c on c.organization_id = l.organization_id
        and c.id = l.contact_id
    where l.organization_id = ${organization_id}
    and l.score <> right(l.source, 1)::int + 1 + case c.company when 'Company 3' then 100 else 0
    end`
    t.same(wrong, [])
    t.ok(waited < 1_000, `a writer waited ${Math.round(waited)} ms at the most`)
    const plans = await Promise.all(
      sent
        .filter(([text]) => / as points/.test(text))
        .map(async ([text, values]) =>
          (await sql.unsafe(`explain ${text}`, values as never[]))
            .map(row => String(row['QUERY PLAN']))
            .join('\n')
        )
    )
    t.ok(plans.length > 10)
    for (const plan of new Set(plans)) t.notMatch(plan, /Seq Scan on leads/, plan)
    for (const plan of plans.filter(plan => plan.includes('contact_id = ANY')))
      t.match(plan, /idx_leads_contact_id/)
    await call(`PATCH /api/scoring-models/${id}`, { status: 'draft' })
    await work(app)
  }
)

t.test('a process runs its own jobs and those of a killed process', async t => {
  const DATABASE_URL = await database(t)
  const beside = await application(t, { database_url: DATABASE_URL })
  const child = spawn(process.execPath, ['src/main.ts'], {
    env: {
      PATH: process.env.PATH,
      DATABASE_URL,
      JWT_SECRET: 'x'.repeat(32),
      ADMIN_PASSWORD: 'a quiet harbour 47',
      PORT: '0'
    }
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', data => {
      output += String(data)
    })
  const ended = new Promise<number | null>(resolve => {
    child.on('close', resolve)
  })
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  while (!output.includes('Documentation') && child.exitCode === null) await sleep(20)
  const { token } = await login(beside, 'admin@example.com', 'a quiet harbour 47')
  const call = caller(beside, { authorization: `Bearer ${token}` })
  const { id } = await made(call, '/api/leads', { source: 'website' })
  const { id: model_id } = await model(call, [rule('source', 'eq', 'website', 70)])
  const scoreNow = async () =>
    (await call(`GET /api/leads/${id}`, undefined, { 'cache-control': 'no-cache' })).json<Lead>()
      .score
  const becomes = async (score: number) => {
    const deadline = performance.now() + 40_000
    while (performance.now() < deadline && (await scoreNow()) !== score) await sleep(20)
    t.equal(await scoreNow(), score, output)
  }
  await becomes(70)
  child.kill('SIGTERM')
  t.equal(await ended, 0, output)

  await call(`PATCH /api/scoring-models/${model_id}`, {
    rules: [rule('source', 'eq', 'website', 71)]
  })
  await beside.services.database
    .pool`update graphile_worker._private_jobs set locked_at = now() - interval '2 minutes',
      locked_by = 'a dead one', attempts = 1`
  const again = spawn(process.execPath, ['src/main.ts'], {
    env: { PATH: process.env.PATH, DATABASE_URL, JWT_SECRET: 'x'.repeat(32), PORT: '0' }
  })
  const gone = new Promise(resolve => {
    again.on('close', resolve)
  })
  t.teardown(async () => {
    again.kill('SIGKILL')
    await gone
  })
  await becomes(71)
})
