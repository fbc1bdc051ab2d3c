import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Context } from '../../../src/core/access/context.ts'
import { leadService as leads } from '../../../src/modules/crm/leads/service.ts'
import { application, organization, work } from '../../support/app.ts'
import { type Json, type Rule, type Lead, rule, create, model, lead, all } from './scoring.ts'

interface Contact {
  id: number
  company: string | null
  position: string | null
}
const app = await application(t)
const sql = app.services.database.pool
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

t.test('with 20 writers, while models and contacts change, every score ends up right', async t => {
  for (let round = 0; round < 3; round++) {
    const { call } = await organization(app)
    const contacts = await Promise.all(
      Array.from({ length: 6 }, () =>
        create(call, '/api/contacts', {
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
        create(call, '/api/leads', {
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
          expect(await call(`PATCH /api/scoring-models/${id}`, { ...next.body, status: 'active' }))
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
})

t.test(
  'a lead whose creation began before the first model became active is scored afterwards',
  async t => {
    const { call, id: organization_id, admin } = await organization(app)
    const ctx = Context.system(app.services, organization_id, admin.user.id)
    const late = await ctx.transaction(async ctx => {
      const late = await leads.create(ctx, { source: 'website' })
      await model(call, [rule('source', 'eq', 'website', 10)])
      await work(app)
      return late
    })
    t.match(await lead(call, late.id), { score: 0, grade: null }, 'the jobs could not see the lead')
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

t.test('rules and contacts do not change under a lead that is being written', async t => {
  const { call, id: organization_id, admin } = await organization(app)
  const ctx = Context.system(app.services, organization_id, admin.user.id)
  const contact_id = (
    await create(call, '/api/contacts', { first_name: 'A', last_name: 'B', company: 'Old' })
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
})
