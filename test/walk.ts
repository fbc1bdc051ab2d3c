// A generator whose truth is known: leads walk through statuses, opportunities through stages, and what the reports must say of
// them is computed here in plain TypeScript, with integers of cents.
import { collection } from '../src/kit/collection.ts'
import { Context } from '../src/kit/context.ts'
import type { ListQuery } from '../src/kit/list.ts'
import { activities, statuses, types } from '../src/resources/activities/table.ts'
import { leads } from '../src/resources/leads/table.ts'
import { opportunities } from '../src/resources/opportunities/table.ts'
import { pipelines } from '../src/resources/pipelines/table.ts'
import { stages } from '../src/resources/stages/table.ts'
import { tags } from '../src/resources/tags/table.ts'
import type { NewOf } from '../src/kit/collection.ts'
import type { App, organization } from './helper.ts'

type Kind = 'open' | 'won' | 'lost'
interface Stage { pipeline_id: number, key: string, name: string, kind: Kind, probability: number }
interface Owner { id: number, username: string }
/** Where a record was, when it came there; the last place is where it is. */
interface Stop<Place> { at: Place, moved_at: string }
interface Walker { id: number, created_at: string, assigned_to: number | null, tags: number[], gone: boolean }
export interface Lead extends Walker { source: string | null, way: Stop<string>[] }
export interface Opportunity extends Walker { lead: Lead | undefined, cents: number | null, close_date: string | null, way: Stop<Stage>[] }
export interface Activity extends Walker { type: string, status: string, minutes: number | null, way: Stop<never>[] }

export interface World {
  owners: Owner[], stages: Stage[], pipelines: [number, number], tags: [number, number]
  leads: Lead[], opportunities: Opportunity[], activities: Activity[]
}

/** mulberry32: the same numbers for the same seed. */
function dice (seed: number) {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (n: number) => Math.floor(next() * n)
  return { below, chance: (probability: number) => next() < probability, of: <T> (values: readonly T[]): T => values[below(values.length)]! }
}

const nextStatuses: Record<string, string[]> = {
  new: ['contacted', 'contacted', 'qualified', 'unqualified'], contacted: ['qualified', 'unqualified'], qualified: ['converted', 'converted', 'contacted'], unqualified: ['contacted']
}
const sources = ['website', 'referral', 'a&b=c, "ü" + 1%', '__proto__', '', null]
const firstDay = Date.parse('2026-01-01T00:00:00Z')
const instant = (seconds: number) => new Date(firstDay + seconds * 1000).toISOString()
const day = 86_400

/** Fills an organisation, where nothing has been sold yet, with `many` leads, opportunities and activities. */
export async function walk (app: App, { id: organization_id, admin, user }: Awaited<ReturnType<typeof organization>>, seed: number, many: number): Promise<World> {
  const { below, chance, of } = dice(seed)
  const ctx = new Context(app.house, { organization_id, user_id: admin.user.id, role: 'admin', session_id: null })
  const owners = [admin.user, (await user('user')).user, (await user('viewer')).user]
  const [first] = (await collection('pipeline', pipelines).list(ctx)).data
  const second = await collection('pipeline', pipelines).create(ctx, { name: `Renewals ${seed}` })
  // the same keys mean other stages in another pipeline, and not all of its stages are there
  await collection('stage', stages).createMany(ctx, [['proposal', 'Offer', 'open', 40], ['signing', 'Signing', 'open', 80], ['won', 'Renewed', 'won', 100], ['lost', 'Left', 'lost', 0]].map(
    ([key, name, kind, probability], i) => ({ pipeline_id: second.id, key, name, kind, probability, position: 10 - i }) as NewOf<typeof stages>))
  const allStages: Stage[] = (await collection('stage', stages).list(ctx, { limit: 200, sort: [{ field: 'position', descending: false }] })).data
  const stagesOf = (pipeline_id: number) => allStages.filter(stage => stage.pipeline_id === pipeline_id)
  const tagIds: number[] = []
  for (const name of ['hot', 'cold']) tagIds.push((await collection('tag', tags).create(ctx, { name: `${name} ${seed}` })).id)

  const walker = (): Omit<Walker, 'id'> => ({
    created_at: instant(below(300 * day)), assigned_to: of([null, ...owners.map(({ id }) => id)]), tags: tagIds.filter(() => chance(0.2)), gone: chance(0.05)
  })
  /** From stop to stop, a second at least at each, until `leaves` says that it stays. */
  function wayFrom<Place> (created_at: string, start: Place, next: (at: Place) => Place | undefined): Stop<Place>[] {
    const way = [{ at: start, moved_at: created_at }]
    for (let at = next(start); at !== undefined && way.length < 7; at = next(at)) {
      way.push({ at, moved_at: new Date(Date.parse(way.at(-1)!.moved_at) + (1 + below(20 * day)) * 1000).toISOString() })
    }
    return way
  }

  /** Makes the records, moves them along their ways and deletes those that are gone. Their numbers follow the order they are given in. */
  async function store<Place, W extends Omit<Walker, 'id'> & { way: Stop<Place>[] }> (records: Records, walkers: W[], fields: (walker: W) => object, standing: (at: Place) => object): Promise<(W & { id: number })[]> {
    const placed = ({ at, moved_at }: Stop<Place>) => ({ moved_at, ...standing(at) })
    await records.createMany(ctx, walkers.map(walker => ({ created_at: walker.created_at, assigned_to: walker.assigned_to, tags: walker.tags, ...fields(walker), ...walker.way[0] && placed(walker.way[0]) })))
    const ids: number[] = []
    for await (const rows of records.stream(ctx, { sort: [{ field: 'id', descending: false }] })) ids.push(...rows.map(({ id }) => id))
    const made = walkers.map((walker, i) => ({ ...walker, id: ids[i]! }))
    for (let step = 1; made.some(({ way }) => way.length > step); step++) {
      await records.updateMany(ctx, made.filter(({ way }) => way.length > step).map(({ id, way }) => ({ id, ...placed(way[step]!) })))
    }
    for (const { id, gone } of made) if (gone) await records.remove(ctx, id)
    return made
  }

  const madeLeads = await store(collection('lead', leads) as unknown as Records, Array.from({ length: many }, (): Omit<Lead, 'id'> => {
    const lead = walker()
    return { ...lead, source: of(sources), way: wayFrom(lead.created_at, 'new', at => chance(0.3) || at === 'converted' ? undefined : of(nextStatuses[at]!)) }
  }), ({ source }) => ({ source }), status => ({ status }))

  const madeOpportunities = await store<Stage, Omit<Opportunity, 'id'>>(collection('opportunity', opportunities) as unknown as Records, Array.from({ length: many }, (): Omit<Opportunity, 'id'> => {
    const opportunity = walker()
    const start = of(stagesOf(of([first!.id, second.id])).filter(({ kind }) => kind === 'open'))
    return {
      ...opportunity, lead: chance(0.7) ? of(madeLeads) : undefined, cents: chance(0.1) ? null : below(10_000_000), close_date: chance(0.15) ? null : instant(below(600 * day)).slice(0, 10),
      way: wayFrom(opportunity.created_at, start, at => chance(at.kind === 'open' ? 0.2 : 0.9) ? undefined : of((chance(0.1) ? allStages : stagesOf(at.pipeline_id)).filter(stage => stage !== at)))
    }
  }), ({ lead, cents, close_date }) => ({ title: 'Sale', lead_id: lead?.id ?? null, close_date, amount: cents === null ? null : cents / 100 }),
  ({ pipeline_id, key, kind, probability }) => ({ pipeline_id, stage: key, status: kind, probability }))

  const madeActivities = await store(collection('activity', activities) as unknown as Records, Array.from({ length: many }, (): Omit<Activity, 'id'> =>
    ({ ...walker(), type: of(types), status: of(statuses), minutes: chance(0.3) ? null : below(120), way: [] })),
  ({ type, status, minutes }) => ({ subject: 'Talk', type, status, duration_minutes: minutes }), () => ({}))

  const alive = <W extends Walker> (walkers: W[]) => walkers.filter(({ gone }) => !gone)
  return { owners, stages: allStages, pipelines: [first!.id, second.id], tags: tagIds as [number, number], leads: alive(madeLeads), opportunities: alive(madeOpportunities), activities: alive(madeActivities) }
}

/** What `store` needs of a collection, whatever its rows. */
interface Records {
  createMany: (ctx: Context, rows: object[]) => Promise<number>
  updateMany: (ctx: Context, rows: object[]) => Promise<number[]>
  stream: (ctx: Context, query: ListQuery) => AsyncIterable<{ id: number }[]>
  remove: (ctx: Context, id: number) => Promise<void>
}

// What the reports must say: rows without `list` and `filter`, in no order.

const money = (cents: number) => cents / 100
const sumOf = <T> (values: T[], of: (value: T) => number) => values.reduce((sum, value) => sum + of(value), 0)
const standing = <Place> ({ way }: { way: Stop<Place>[] }): Place => way.at(-1)!.at
const nameOf = ({ owners }: World, id: number | null) => owners.find(owner => owner.id === id)?.username ?? null
const sums = (found: Opportunity[]) => ({
  count: found.length, amount: money(sumOf(found, ({ cents }) => cents ?? 0)),
  weighted: money(Math.round(sumOf(found, opportunity => (opportunity.cents ?? 0) * standing(opportunity).probability) / 100))
})
/** The rows of each group, which `fields` tell apart. */
const grouped = <T> (values: T[], fields: (value: T) => object, numbers: (values: T[]) => object) =>
  [...Map.groupBy(values, value => JSON.stringify(fields(value))).values()].map(group => ({ ...fields(group[0]!), ...numbers(group) }))

export const truth = {
  pipeline: (world: World, found: Opportunity[]) => ({
    data: grouped(found, opportunity => {
      const { pipeline_id, key, name } = standing(opportunity)
      return { pipeline_id, stage: key, stage_name: name, assigned_to: opportunity.assigned_to, assigned_to_name: nameOf(world, opportunity.assigned_to) }
    }, sums),
    totals: [sums(found)]
  }),

  forecast (_: World, found: Opportunity[]) {
    const hoped = found.filter(opportunity => standing(opportunity).kind !== 'lost')
    const status = (opportunity: Opportunity) => ({ status: standing(opportunity).kind })
    return { data: grouped(hoped, opportunity => ({ month: opportunity.close_date?.slice(0, 7) ?? null, ...status(opportunity) }), sums), totals: grouped(hoped, status, sums) }
  },

  funnel (world: World, foundLeads: Lead[], found: Opportunity[], pipeline_id: number) {
    const stages = world.stages.filter(stage => stage.pipeline_id === pipeline_id && stage.kind !== 'lost')
    const sold = found.filter(opportunity => standing(opportunity).pipeline_id === pipeline_id)
    return {
      data: [
        ...steps(foundLeads.map(({ way }) => way), ['new', 'contacted', 'qualified', 'converted'].map(key => ({ key, name: key.replace(/^./, letter => letter.toUpperCase()) }))),
        ...steps(sold.map(({ way }) => way.map(({ at, moved_at }) => ({ at: at.key, moved_at }))), stages)
      ],
      totals: [{ count: foundLeads.length }, { count: sold.length }]
    }
  },

  sources (_: World, foundLeads: Lead[], found: Opportunity[]) {
    const ofLeads = (leads: Lead[]) => [
      { measure: 'leads', count: leads.length, amount: null },
      { measure: 'qualified', count: leads.filter(({ way }) => way.some(({ at }) => at === 'qualified')).length, amount: null },
      { measure: 'converted', count: leads.filter(lead => standing(lead) === 'converted').length, amount: null }
    ]
    const ofOpportunities = (opportunities: Opportunity[]) => {
      const won = opportunities.filter(opportunity => standing(opportunity).kind === 'won')
      return [['opportunities', opportunities], ['won', won]].map(([measure, counted]) => ({ measure, count: counted!.length, amount: sums(counted as Opportunity[]).amount }))
    }
    const bySource = <T> (values: T[], source: (value: T) => string | null, rows: (values: T[]) => object[]) =>
      [...Map.groupBy(values, source)].flatMap(([source, group]) => rows(group).map(row => ({ source, ...row })))
    return {
      data: [...bySource(foundLeads, ({ source }) => source, ofLeads), ...bySource(found, sourceOf, ofOpportunities)],
      totals: [...ofLeads(foundLeads), ...ofOpportunities(found)]
    }
  },

  activity: (world: World, found: Activity[]) => {
    const numbers = (activities: Activity[]) => ({ count: activities.length, minutes: sumOf(activities, ({ minutes }) => minutes ?? 0) })
    return {
      data: grouped(found, ({ assigned_to, type, status }) => ({ assigned_to, assigned_to_name: nameOf(world, assigned_to), type, status }), numbers),
      totals: [numbers(found)]
    }
  }
}

/** A lead that was deleted says nothing any more. */
const sourceOf = ({ lead }: Opportunity) => lead === undefined || lead.gone ? null : lead.source

function steps (ways: Stop<string>[][], places: { key: string, name: string }[]): object[] {
  const entered = places.map(({ key }) => ways.filter(way => way.some(({ at }) => at === key)).length)
  return places.flatMap(({ key, name }, i) => {
    const stays = ways.flatMap(way => way.slice(0, -1).flatMap(({ at, moved_at }, j) => at === key ? [(Date.parse(way[j + 1]!.moved_at) - Date.parse(moved_at)) / 1000] : [])).toSorted((a, b) => a - b)
    const middle = (stays[Math.floor((stays.length - 1) / 2)]! + stays[Math.floor(stays.length / 2)]!) / 2
    return [
      {
        step: key, step_name: name, measure: 'entered', count: entered[i],
        conversion: i + 1 === places.length || entered[i] === 0 ? null : Math.round(entered[i + 1]! / entered[i]! * 10_000) / 10_000,
        average_seconds: stays.length === 0 ? null : Math.round(sumOf(stays, seconds => seconds) / stays.length), median_seconds: stays.length === 0 ? null : Math.round(middle)
      },
      { step: key, step_name: name, measure: 'present', count: ways.filter(way => way.at(-1)!.at === key).length, conversion: null, average_seconds: null, median_seconds: null }
    ]
  })
}
