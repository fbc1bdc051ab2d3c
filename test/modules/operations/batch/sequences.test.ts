import { randomInt } from 'node:crypto'
import { test } from 'tap'
import { application, organization, type Call } from '../../../support/app.ts'

/** Batches of each test; BATCHES=200 for more. */
const batches = Number(process.env.BATCHES ?? 25)

interface Operation {
  ref?: string
  op: string
  type: string
  id?: { $ref: string }
  if_match?: number
  match?: { external: { erp: string } }
  data?: Record<string, unknown>
}

const pick = <T>(values: readonly T[]): T => values[randomInt(values.length)]!
const chance = (percent: number): boolean => randomInt(100) < percent

/** Data that mostly can be stored: `null` is for a field that must not be null. */
const dataOf: Record<string, () => Record<string, unknown>> = {
  contact: () => ({ first_name: 'Eva', last_name: chance(90) ? `Ek ${randomInt(9)}` : null }),
  account: () => ({ name: chance(90) ? `Acme ${randomInt(9)}` : '' }),
  lead: () => ({ source: pick(['web', 'fair']), score: chance(90) ? randomInt(100) : 'many' }),
  opportunity: () => ({ title: 'Deal', stage: pick(['qualification', 'proposal', 'won', 'x']) }),
  tag: () => ({ name: `tag ${randomInt(6)}` }),
  activity: () => ({ type: 'task', subject: 'Call', status: pick(['planned', 'completed']) })
}
const paths: Record<string, string> = {
  contact: 'contacts',
  account: 'accounts',
  lead: 'leads',
  opportunity: 'opportunities',
  tag: 'tags',
  activity: 'activities'
}
const types = Object.keys(paths)

/** Random operations, of which later ones change the records of earlier ones. */
function randomBatch(size: number): Operation[] {
  const created: { ref: string; type: string }[] = []
  return Array.from({ length: size }, (_, i) => {
    const record = created.length > 0 && chance(60) ? pick(created) : undefined
    if (record) {
      const { type, ref } = record
      const op = pick(['update', 'update', 'delete', 'restore'])
      const data = op === 'update' ? { data: dataOf[type]!() } : {}
      const condition = chance(20) ? { if_match: 1 + randomInt(3) } : {}
      return { op, type, id: { $ref: ref }, ...condition, ...data }
    }
    const type = pick(types)
    const ref = `r${i}`
    created.push({ ref, type })
    const data = dataOf[type]!()
    if (chance(30)) {
      const match = { external: { erp: String(randomInt(4)) } }
      return { ref, op: 'upsert', type, match, data }
    }
    return { ref, op: 'create', type, data }
  })
}

/** Sends an operation as a single request. Returns its status, and notes the ID of its record. */
async function single(call: Call, one: Operation, ids: Map<string, number>): Promise<number> {
  const path = `/api/${paths[one.type]}`
  const known = one.id && ids.get(one.id.$ref)
  if (one.id && known === undefined) return 424
  const headers: Record<string, string> = one.if_match ? { 'if-match': `"${one.if_match}"` } : {}
  const url = {
    create: `POST ${path}`,
    upsert: `PUT ${path}/external/erp/${one.match?.external.erp}`,
    update: `PATCH ${path}/${known}`,
    delete: `DELETE ${path}/${known}`,
    restore: `POST ${path}/${known}/restore`
  }[one.op]!
  const answer = await call(url, one.data, headers)
  if (one.ref && answer.statusCode < 300) ids.set(one.ref, answer.json().id)
  return answer.statusCode
}

const own = /^(id|.*_at|.*_by|.*_id)$/

/** All records but for their IDs and times, with how many events there are of each type. */
async function stateOf(call: Call): Promise<unknown> {
  const lists = await Promise.all(
    Object.values(paths).flatMap(path =>
      ['false', 'true'].map(async deleted => {
        const { data } = (
          await call(`GET /api/${path}?sort=id&limit=200&deleted=${deleted}`)
        ).json()
        return (data as object[]).map(record =>
          Object.fromEntries(Object.entries(record).filter(([name]) => !own.test(name)))
        )
      })
    )
  )
  const events = (await call('GET /api/audit?limit=200')).json().data
  const changes = (events as { type: string; changed: string[] }[])
    .filter(({ type }) => types.includes(type.split('.')[0]!))
    .map(({ type, changed }) => ({ type, changed }))
  return { lists, changes }
}

test('an independent batch does what its operations do one by one', async t => {
  const app = await application(t)
  for (let i = 0; i < batches; i++) {
    const operations = randomBatch(1 + randomInt(12))
    const [{ call: together }, { call: alone }] = await Promise.all([
      organization(app),
      organization(app)
    ])
    const answer = await together('POST /api/batch', { mode: 'independent', operations })
    const ids = new Map<string, number>()
    const statuses: number[] = []
    for (const one of operations) statuses.push(await single(alone, one, ids))
    const results = answer.json().results as { status: number }[]
    const isSame = t.same(
      results.map(({ status }) => status),
      statuses,
      JSON.stringify(operations)
    )
    if (isSame) t.same(await stateOf(together), await stateOf(alone), JSON.stringify(operations))
  }
})

test('an atomic batch does all of its operations, or none', async t => {
  const app = await application(t)
  for (let i = 0; i < batches; i++) {
    const operations = randomBatch(1 + randomInt(6))
    const [{ call: atomic }, { call: alone }] = await Promise.all([
      organization(app),
      organization(app)
    ])
    const before = await stateOf(atomic)
    const answer = await atomic('POST /api/batch', { mode: 'atomic', operations })
    const ids = new Map<string, number>()
    const statuses: number[] = []
    for (const one of operations) statuses.push(await single(alone, one, ids))
    const isPossible = statuses.every(status => status < 300)
    t.equal(answer.statusCode, isPossible ? 200 : 422, JSON.stringify(operations))
    t.same(await stateOf(atomic), isPossible ? await stateOf(alone) : before)
  }
})
