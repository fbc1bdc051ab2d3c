// Generates sales data with a known history: leads pass through statuses, opportunities through
// stages, each transition at a known time.
import { repository } from '../../src/core/records/repository.ts'
import { Context } from '../../src/core/access/context.ts'
import type { ListQuery } from '../../src/core/records/list.ts'
import { activityResource } from '../../src/modules/crm/activities/resource.ts'
import { statuses, types } from '../../src/modules/crm/activities/table.ts'
import { leadResource } from '../../src/modules/crm/leads/resource.ts'
import { opportunityResource } from '../../src/modules/sales/opportunities/resource.ts'
import { pipelineResource } from '../../src/modules/sales/pipelines/resource.ts'
import { stageResource } from '../../src/modules/sales/stages/resource.ts'
import { tagResource } from '../../src/modules/crm/tags/resource.ts'
import type { App, organization } from './app.ts'

type Kind = 'open' | 'won' | 'lost'
export interface Stage {
  pipeline_id: number
  key: string
  name: string
  kind: Kind
  probability: number
}
interface Owner {
  id: number
  username: string
}
/** A stage or status and when the record entered it; the last one is the current one. */
export interface Transition<Place> {
  at: Place
  moved_at: string
}
export interface GeneratedRecord {
  id: number
  created_at: string
  assigned_to: number | null
  tags: number[]
  deleted: boolean
}
export interface Lead extends GeneratedRecord {
  source: string | null
  transitions: Transition<string>[]
}
export interface Opportunity extends GeneratedRecord {
  lead: Lead | undefined
  cents: number | null
  close_date: string | null
  transitions: Transition<Stage>[]
}
export interface Activity extends GeneratedRecord {
  type: string
  status: string
  minutes: number | null
  transitions: Transition<never>[]
}

export interface SalesData {
  owners: Owner[]
  stages: Stage[]
  pipelines: [number, number]
  tags: [number, number]
  leads: Lead[]
  opportunities: Opportunity[]
  activities: Activity[]
}

/** Random numbers by mulberry32: the same ones for the same seed. */
function randomNumbers(seed: number) {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (n: number) => Math.floor(next() * n)
  return {
    below,
    chance: (probability: number) => next() < probability,
    of: <T>(values: readonly T[]): T => values[below(values.length)]!
  }
}

const nextStatuses: Record<string, string[]> = {
  new: ['contacted', 'contacted', 'qualified', 'unqualified'],
  contacted: ['qualified', 'unqualified'],
  qualified: ['converted', 'converted', 'contacted'],
  unqualified: ['contacted'],
  converted: []
}
/** In the second pipeline, keys of the first one mean other stages, and some are missing. */
const otherStages = [
  { key: 'proposal', name: 'Offer', kind: 'open', probability: 40 },
  { key: 'signing', name: 'Signing', kind: 'open', probability: 80 },
  { key: 'won', name: 'Renewed', kind: 'won', probability: 100 },
  { key: 'lost', name: 'Left', kind: 'lost', probability: 0 }
] as const
const sources = ['website', 'referral', 'a&b=c, "ü" + 1%', '__proto__', '', null]
const day = 86_400
const firstDay = Date.parse('2026-01-01T00:00:00Z')
const instant = (seconds: number) => new Date(firstDay + seconds * 1000).toISOString()

/** Creates `many` leads, opportunities and activities in an organization that has none. */
export async function generateSales(
  app: App,
  { id: organization_id, admin, user }: Tenant,
  seed: number,
  many: number
): Promise<SalesData> {
  const { below, chance, of } = randomNumbers(seed)
  const ctx = Context.system(app.services, organization_id, admin.user.id)
  const owners = [admin.user, (await user('user')).user, (await user('viewer')).user]
  const [first] = (await repository(pipelineResource).list(ctx)).data
  const second = await repository(pipelineResource).create(ctx, { name: `Renewals ${seed}` })
  await repository(stageResource).createMany(
    ctx,
    otherStages.map((stage, i) => ({ ...stage, pipeline_id: second.id, position: 10 - i }))
  )
  const allStages: Stage[] = (
    await repository(stageResource).list(ctx, {
      limit: 200,
      sort: [{ field: 'position', descending: false }]
    })
  ).data
  const stagesOf = (pipeline_id: number) =>
    allStages.filter(stage => stage.pipeline_id === pipeline_id)
  const firstTag = await repository(tagResource).create(ctx, { name: 'firstTag' })
  const secondTag = await repository(tagResource).create(ctx, { name: 'secondTag' })

  const times = <W>(make: () => W): W[] => Array.from({ length: many }, make)
  const generated = () => ({
    created_at: instant(below(300 * day)),
    assigned_to: of([null, ...owners.map(({ id }) => id)]),
    tags: [firstTag.id, secondTag.id].filter(() => chance(0.2)),
    deleted: chance(0.05)
  })
  /** Transitions from `start` on, at least a second apart, while there is a `next` one. */
  function transitionsFrom<Place>(
    created_at: string,
    start: Place,
    next: (at: Place) => Place | undefined
  ): Transition<Place>[] {
    const transitions = [{ at: start, moved_at: created_at }]
    for (let at = next(start); at !== undefined && transitions.length < 7; at = next(at)) {
      transitions.push({
        at,
        moved_at: new Date(
          Date.parse(transitions.at(-1)!.moved_at) + (1 + below(20 * day)) * 1000
        ).toISOString()
      })
    }
    return transitions
  }

  const newLeads = times((): New<Lead> => {
    const lead = generated()
    return {
      ...lead,
      source: of(sources),
      transitions: transitionsFrom(lead.created_at, 'new', at =>
        chance(0.3) ? undefined : of(nextStatuses[at]!)
      )
    }
  })
  const createdLeads = await store(
    ctx,
    repository(leadResource),
    newLeads,
    ({ source }) => ({ source }),
    status => ({ status })
  )

  /** Mostly within the pipeline; closed opportunities are seldom reopened. */
  const nextStage = (at: Stage) =>
    chance(at.kind === 'open' ? 0.2 : 0.9)
      ? undefined
      : of((chance(0.1) ? allStages : stagesOf(at.pipeline_id)).filter(stage => stage !== at))
  const newOpportunities = times((): New<Opportunity> => {
    const opportunity = generated()
    const start = of(stagesOf(of([first!.id, second.id])).filter(({ kind }) => kind === 'open'))
    return {
      ...opportunity,
      lead: chance(0.7) ? of(createdLeads) : undefined,
      cents: chance(0.1) ? null : below(10_000_000),
      close_date: chance(0.15) ? null : instant(below(600 * day)).slice(0, 10),
      transitions: transitionsFrom(opportunity.created_at, start, nextStage)
    }
  })
  const createdOpportunities = await store(
    ctx,
    repository(opportunityResource),
    newOpportunities,
    ({ lead, cents, close_date }) => ({
      title: 'Sale',
      lead_id: lead?.id ?? null,
      close_date,
      amount: cents === null ? null : cents / 100
    }),
    ({ pipeline_id, key, kind, probability }: Stage, moved_at) => ({
      pipeline_id,
      stage: key,
      status: kind,
      probability,
      closed_at: kind === 'open' ? null : moved_at
    })
  )

  const newActivities = times((): New<Activity> => ({
    ...generated(),
    type: of(types),
    status: of(statuses),
    minutes: chance(0.3) ? null : below(120),
    transitions: []
  }))
  const createdActivities = await store(
    ctx,
    repository(activityResource),
    newActivities,
    ({ type, status, minutes }) => ({ subject: 'Talk', type, status, duration_minutes: minutes }),
    () => ({})
  )

  const alive = <W extends GeneratedRecord>(generated: W[]) =>
    generated.filter(({ deleted }) => !deleted)
  return {
    owners,
    stages: allStages,
    pipelines: [first!.id, second.id],
    tags: [firstTag.id, secondTag.id],
    leads: alive(createdLeads),
    opportunities: alive(createdOpportunities),
    activities: alive(createdActivities)
  }
}

type Tenant = Awaited<ReturnType<typeof organization>>
type New<W extends GeneratedRecord> = Omit<W, 'id'>

/** What `store` needs of a repository. */
interface Records {
  createMany: (ctx: Context, rows: never[]) => Promise<number>
  updateMany: (ctx: Context, rows: never[]) => Promise<number[]>
  stream: (ctx: Context, query: ListQuery) => AsyncIterable<{ id: number }[]>
  remove: (ctx: Context, id: number) => Promise<void>
}

/** Creates the records, makes their transitions and deletes those that are deleted. */
async function store<
  Place,
  W extends Omit<GeneratedRecord, 'id'> & { transitions: Transition<Place>[] }
>(
  ctx: Context,
  records: Records,
  generated: W[],
  fields: (generated: W) => object,
  standing: (at: Place, moved_at: string) => object
): Promise<(W & { id: number })[]> {
  const placed = ({ at, moved_at }: Transition<Place>) => ({
    moved_at,
    ...standing(at, moved_at)
  })
  await records.createMany(
    ctx,
    generated.map(generated => {
      const {
        created_at,
        assigned_to,
        tags,
        transitions: [start]
      } = generated
      return {
        created_at,
        assigned_to,
        tags,
        ...fields(generated),
        ...(start && placed(start))
      } as never
    })
  )
  const ids: number[] = []
  for await (const rows of records.stream(ctx, { sort: [{ field: 'id', descending: false }] }))
    ids.push(...rows.map(({ id }) => id))
  const created = generated.map((generated, i) => ({ ...generated, id: ids[i]! }))
  for (let step = 1; created.some(({ transitions }) => transitions.length > step); step++) {
    await records.updateMany(
      ctx,
      created
        .filter(({ transitions }) => transitions.length > step)
        .map(({ id, transitions }) => ({ id, ...placed(transitions[step]!) }) as never)
    )
  }
  for (const { id, deleted } of created) if (deleted) await records.remove(ctx, id)
  return created
}
