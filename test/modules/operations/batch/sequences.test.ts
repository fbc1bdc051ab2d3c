import { randomBytes, randomInt } from 'node:crypto'
import { test, type Test } from 'tap'
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

/** IDs of other systems, of few: they are taken, given up and given to others. */
const externalIds = () =>
  chance(90)
    ? { erp: pick([null, undefined]), crm: randomBytes(4).toString('hex') }
    : pick([null, { erp: `s${randomInt(30)}` }])

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

/** Changes of the same fields, which several records in a row are given. */
const alike: Record<string, (() => Record<string, unknown>)[]> = {
  contact: [
    () => ({ last_name: chance(99) ? `Ek ${randomInt(3)}` : null }),
    () => ({ company: pick(['Acme', null]), position: pick(['CEO', ' ']) }),
    () => ({ external_ids: externalIds() }),
    () => ({ account_id: chance(99) ? null : 99_999 }),
    () => ({ first_name: 'Eva', version: 1 + randomInt(2) })
  ],
  tag: [() => ({ color: pick(['#ff0000', null]) }), () => ({ name: `s${randomInt(9)}` })],
  activity: [() => ({ subject: pick(['Call', 'Mail']) })],
  account: [() => ({ city: pick(['Rome', null]) })]
}

const newOf: Record<string, (ref: string) => Record<string, unknown>> = {
  contact: ref => ({ first_name: 'Eva', last_name: 'Ek', external_ids: { erp: ref } }),
  tag: ref => ({ name: ref }),
  activity: () => ({ type: 'task', subject: 'Call' }),
  account: () => ({ name: 'Acme' })
}

/** Long runs of alike operations on records that are created by the first one. */
function randomRuns(length: number): Operation[] {
  const type = pick(['contact', 'contact', 'contact', ...Object.keys(alike)])
  const refs = Array.from({ length }, (_, i) => `s${i}`)
  const begin = refs.map(ref => ({ ref, op: 'create', type, data: newOf[type]!(ref) }))
  const runs = Array.from({ length: 1 + randomInt(4) }, () => {
    const op = pick(['update', 'update', 'update', 'update', 'delete', 'restore'])
    const change = pick(alike[type]!)
    const isConditional = chance(20)
    return refs
      .toSorted(() => randomInt(3) - 1)
      .slice(0, 2 + randomInt(length))
      .map(ref => {
        const condition = isConditional && op !== 'restore' ? { if_match: chance(95) ? 1 : 2 } : {}
        const data = op === 'update' ? { data: change() } : {}
        return { op, type, id: { $ref: ref }, ...condition, ...data }
      })
  })
  return [...begin, ...runs.flat()]
}

/** Random operations, of which later ones change the records of earlier ones. */
function randomBatch(size: number): Operation[] {
  if (chance(60)) return randomRuns(size + 2)
  const created: { ref: string; type: string }[] = []
  return Array.from({ length: size }, (_, i) => {
    const record = created.length > 0 && chance(60) ? pick(created) : undefined
    if (record) {
      const { type, ref } = record
      const op = pick(['update', 'update', 'delete', 'restore'])
      const data = op === 'update' ? { data: dataOf[type]!() } : {}
      const condition = op !== 'restore' && chance(20) ? { if_match: 1 + randomInt(3) } : {}
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

/** What an operation did: its status and its record, as far as others can have the same. */
interface Effect {
  status: number
  version?: number | undefined
  record?: unknown
}

/** Sends an operation as a single request. Notes the ID of its record. */
async function single(call: Call, one: Operation, ids: Map<string, number>): Promise<Effect> {
  const path = `/api/${paths[one.type]}`
  const known = one.id && ids.get(one.id.$ref)
  if (one.id && known === undefined) return { status: 424 }
  const headers: Record<string, string> = one.if_match ? { 'if-match': `"${one.if_match}"` } : {}
  const url = {
    create: `POST ${path}`,
    upsert: `PUT ${path}/external/erp/${one.match?.external.erp}`,
    update: `PATCH ${path}/${known}`,
    delete: `DELETE ${path}/${known}`,
    restore: `POST ${path}/${known}/restore`
  }[one.op]!
  const answer = await call(url, one.data, headers)
  const { statusCode: status } = answer
  if (one.ref && status < 300) ids.set(one.ref, answer.json().id)
  if (status >= 300 || status === 204) return { status }
  return effectOf(status, answer.json())
}

const own = /^(id|.*_at|.*_by|.*_id)$/
const comparable = (record: object) =>
  Object.fromEntries(Object.entries(record).filter(([name]) => !own.test(name)))
const effectOf = (status: number, record: { version?: number }): Effect => ({
  status,
  version: record.version,
  record: comparable(record)
})

interface Result {
  status: number
  id: number
  record?: { id: number; version: number }
}

/** What a batch did; the record of each result is that of its operation. */
function effectsOf(t: Test, operations: Operation[], results: Result[]): Effect[] {
  const ids = new Map(operations.map(({ ref }, i) => [ref, results[i]!.id]))
  return results.map(({ status, id, record }, i) => {
    const { id: named } = operations[i]!
    if (status < 300 && named) t.equal(id, ids.get(named.$ref))
    if (!record) return { status }
    t.equal(record.id, id)
    return effectOf(status, record)
  })
}

/** All records but for their IDs and times, with how many events there are of each type. */
async function stateOf(call: Call): Promise<unknown> {
  const lists = await Promise.all(
    Object.values(paths).flatMap(path =>
      ['false', 'true'].map(async deleted => {
        const { data } = (
          await call(`GET /api/${path}?sort=id&limit=200&deleted=${deleted}`)
        ).json()
        return (data as object[]).map(comparable)
      })
    )
  )
  const events = (await call('GET /api/audit?limit=200')).json().data
  const changes = (events as { type: string; changed: string[] }[])
    .filter(({ type }) => types.includes(type.split('.')[0]!))
    .map(({ type, changed }) => [type, ...changed].join())
  return { lists, changes: sortedRuns(changes) }
}

/** Changes of one type in a row have no order. */
function sortedRuns(changes: string[]): string[] {
  const runs: string[][] = []
  const typeOf = (change: string | undefined) => change?.split(',', 1)[0]
  for (const change of changes) {
    if (typeOf(runs.at(-1)?.[0]) === typeOf(change)) runs.at(-1)!.push(change)
    else runs.push([change])
  }
  return runs.flatMap(run => run.toSorted())
}

test('an independent batch does what its operations do one by one', async t => {
  const app = await application(t)
  for (let i = 0; i < batches; i++) {
    const operations = randomBatch(1 + randomInt(12))
    const [{ call: together }, { call: alone }] = await Promise.all([
      organization(app),
      organization(app)
    ])
    const batch = { mode: 'independent', operations }
    const answer = await together('POST /api/batch', batch, { prefer: 'return=representation' })
    const ids = new Map<string, number>()
    const effects: Effect[] = []
    for (const one of operations) effects.push(await single(alone, one, ids))
    const done = effectsOf(t, operations, answer.json().results as Result[])
    const isSame = t.same(done, effects, JSON.stringify(operations))
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
    const effects: Effect[] = []
    for (const one of operations) effects.push(await single(alone, one, ids))
    const isPossible = effects.every(({ status }) => status < 300)
    t.equal(answer.statusCode, isPossible ? 200 : 422, JSON.stringify(operations))
    t.same(await stateOf(atomic), isPossible ? await stateOf(alone) : before)
  }
})
