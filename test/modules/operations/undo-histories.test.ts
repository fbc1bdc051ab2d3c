// Random histories: an undo gives back what nobody has touched since, and a redo undoes the undo.
import t, { type Test } from 'tap'
import type { Context } from '../../../src/core/access/context.ts'
import { repository } from '../../../src/core/records/repository.ts'
import type { Resource } from '../../../src/core/records/resource.ts'
import { accountResource } from '../../../src/modules/crm/accounts/resource.ts'
import { contactResource } from '../../../src/modules/crm/contacts/resource.ts'
import { leadResource } from '../../../src/modules/crm/leads/resource.ts'
import { campaignResource } from '../../../src/modules/marketing/campaigns/resource.ts'
import { application, organization, ownerOf } from '../../support/app.ts'
import { contextOf } from './operations.ts'

const app = await application(t)
const owner = ownerOf(app)

interface Kind {
  resource: Resource
  /** What a record needs. */
  required: object
  /** Fields that histories change. */
  fields: string[]
  references?: Record<string, string>
}
const kinds: Record<string, Kind> = {
  account: { resource: accountResource, required: { name: 'A' }, fields: ['city', 'phone'] },
  contact: {
    resource: contactResource,
    required: { first_name: 'A', last_name: 'B' },
    fields: ['company', 'position'],
    references: { account_id: 'account' }
  },
  lead: {
    resource: leadResource,
    required: {},
    fields: ['source'],
    references: { contact_id: 'contact' }
  },
  campaign: { resource: campaignResource, required: { name: 'C' }, fields: ['name'] }
}
const fieldsOf = ({ fields, references = {} }: Kind) => [...fields, ...Object.keys(references)]

/** A generator of numbers from 0 to below 1 (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

type Stored = { [field: string]: unknown; deleted_at: unknown }
type State = Map<string, Stored>

/** All records of an organization, by type and ID. */
async function stateOf(organization_id: number): Promise<State> {
  const state: State = new Map()
  for (const [type, { resource }] of Object.entries(kinds)) {
    const rows = await owner.unsafe<{ id: number; row: Stored }[]>(
      `select id, to_jsonb(t) as row from ${resource.plural} t where organization_id = $1`,
      [organization_id]
    )
    for (const { id, row } of rows) state.set(`${type}/${id}`, row)
  }
  return state
}

/** One random change of one record, by `ctx`; what is impossible is no change. */
async function change(ctx: Context, random: () => number, organization_id: number): Promise<void> {
  const pick = <T>(all: T[]): T => all[Math.floor(random() * all.length)]!
  const type = pick(Object.keys(kinds))
  const kind = kinds[type]!
  const records = repository(kind.resource)
  const state = await stateOf(organization_id)
  const idsOf = (type: string, isDeleted: boolean) =>
    [...state].flatMap(([key, { deleted_at }]) =>
      key.startsWith(`${type}/`) && (deleted_at !== null) === isDeleted
        ? [Number(key.split('/')[1])]
        : []
    )
  const values = () =>
    Object.fromEntries(
      fieldsOf(kind)
        .filter(() => random() < 0.5)
        .map(field => {
          const target = kind.references?.[field]
          const value = target ? pick([null, ...idsOf(target, false)]) : pick(['x', 'y', 'z'])
          return [field, value]
        })
    )
  const [alive, deleted] = [idsOf(type, false), idsOf(type, true)]
  const action = pick(['create', 'update', 'update', 'update', 'delete', 'restore'])
  if (action === 'create') await records.create(ctx, { ...kind.required, ...values() })
  if (action === 'update' && alive.length > 0) await records.update(ctx, pick(alive), values())
  if (action === 'delete' && alive.length > 0) await records.remove(ctx, pick(alive))
  if (action === 'restore' && deleted.length > 0) await records.restore(ctx, pick(deleted))
}

const isAlive = (record: Stored) => record.deleted_at === null

interface Left {
  type: string
  id: number
  field?: string
  reason: string
}
const excuses = ['in_use', 'unknown_reference', 'conflict']

/** What a record should be after the undo, compared with what it is. */
function assertUndone(t: Test, key: string, states: { [when: string]: State }, left: Left[]): void {
  const [type, id] = key.split('/') as [string, string]
  const [before, after, now, final] = ['before', 'after', 'now', 'final'].map(when =>
    states[when]!.get(key)
  )
  const ofRecord = left.filter(one => one.type === type && one.id === Number(id))
  const fields = fieldsOf(kinds[type]!)
  const isUntouched = (field: string) => after![field] === now![field]
  const isListed = (field?: string) => ofRecord.some(one => one.field === field)
  if (!now || !final) return void t.fail(`${key} is gone`)
  if (!after || ofRecord.some(one => excuses.includes(one.reason) && !one.field))
    return void t.match(final, pick(now, [...fields, 'deleted_at']), `${key} stays as it is`)
  const wasAlive = before !== undefined && isAlive(before)
  if (isAlive(after) && !wasAlive) {
    // created or restored: it goes, unless somebody worked with it
    const isSame = fields.every(isUntouched)
    t.equal(isAlive(final), isAlive(now) && !isSame, `${key} is deleted unless it was changed`)
    if (isAlive(now) && !isSame) t.ok(ofRecord.length > 0, `${key} is listed`)
    return
  }
  if (!before) return // created and deleted
  if (!isAlive(now) && isAlive(after)) {
    t.equal(isAlive(final), false, `${key}, deleted since, stays so`)
    return
  }
  const wasDeleted = wasAlive && !isAlive(after)
  if (wasDeleted) {
    const isOurs = after.deleted_at === now.deleted_at
    t.equal(isAlive(final), isOurs || isAlive(now), `${key} is restored`)
  }
  for (const field of fields) {
    if (before[field] === after[field]) t.equal(final[field], now[field], `${key} ${field} stays`)
    else if (!isUntouched(field)) {
      t.equal(final[field], now[field], `${key} ${field}, touched since, stays`)
      t.ok(isListed(field), `${key} ${field} is listed`)
    } else if (!isListed(field) && !isListed('deleted_at'))
      t.equal(final[field], before[field], `${key} ${field} goes back`)
  }
}

const pick = (record: Stored, fields: string[]) =>
  Object.fromEntries(fields.map(field => [field, record[field]]))

/** What people see of the records: without the times of their deletion. */
const contentsOf = (state: State) =>
  [...state]
    .map(([key, record]) => {
      const { version: _v, updated_at: _at, updated_by: _by, moved_at: _m, ...rest } = record
      return [key, { ...rest, deleted_at: record.deleted_at === null ? null : 'deleted' }] as const
    })
    .toSorted(([a], [b]) => (a < b ? -1 : 1))

const first = Number(process.env.HISTORIES_FROM ?? 1)
const histories = Number(process.env.HISTORIES ?? 12)

for (let seed = first; seed < first + histories; seed++)
  t.test(`an undo and its redo are as the model says (seed ${seed})`, async t => {
    const random = randomFrom(seed)
    const one = await organization(app)
    const other = await one.user('admin')
    const [ctx, others] = [contextOf(app, one, one.admin), contextOf(app, one, other)]
    const some = async (ctx: Context, most: number) => {
      const count = Math.ceil(random() * most)
      for (let i = 0; i < count; i++) await change(ctx, random, one.id).catch(ignoreImpossible)
    }
    for (let i = 0; i < 20; i++) await change(ctx, random, one.id).catch(ignoreImpossible)
    const before = await stateOf(one.id)
    const operation = await ctx.operation('batch', async ctx => {
      const count = Math.ceil(random() * 14)
      for (let i = 0; i < count; i++)
        await ctx.attempt(async ctx => await change(ctx, random, one.id)).catch(ignoreImpossible)
      return ctx.operation_id!
    })
    const after = await stateOf(one.id)
    await some(others, 8)
    const now = await stateOf(one.id)
    const answer = await one.call(`POST /api/operations/${operation}/undo`)
    const final = await stateOf(one.id)
    if (answer.statusCode === 409) {
      t.same(contentsOf(final), contentsOf(now), 'a 409 changes nothing')
      return
    }
    t.equal(answer.statusCode, 201, answer.body)
    const undone = answer.json()
    for (const key of now.keys()) assertUndone(t, key, { before, after, now, final }, undone.left)
    const redone = await one.call(`POST /api/operations/${undone.operation.id}/undo`)
    t.equal(redone.statusCode, 201, redone.body)
    t.same(redone.json().left, [])
    t.same(contentsOf(await stateOf(one.id)), contentsOf(now), 'a redo brings it back')
  })

function ignoreImpossible(error: unknown): void {
  if (!(error instanceof Error && 'status' in error && (error.status as number) < 500)) throw error
}
