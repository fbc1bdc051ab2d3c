// The reports that generated sales data must have: rows without `list` and `filter`, in no order,
// computed in plain TypeScript with integers of cents.
import type { Activity, Lead, Opportunity, Transition, SalesData } from './sales-data.ts'

const money = (cents: number) => cents / 100
const sumOf = <T>(values: T[], of: (value: T) => number) =>
  values.reduce((sum, value) => sum + of(value), 0)
const standing = <Place>({ transitions }: { transitions: Transition<Place>[] }): Place =>
  transitions.at(-1)!.at
const nameOf = ({ owners }: SalesData, id: number | null) =>
  owners.find(owner => owner.id === id)?.username ?? null
const sums = (found: Opportunity[]) => ({
  count: found.length,
  amount: money(sumOf(found, ({ cents }) => cents ?? 0)),
  weighted: money(
    Math.round(
      sumOf(found, opportunity => (opportunity.cents ?? 0) * standing(opportunity).probability) /
        100
    )
  )
})
/** One row for each group of values with the same `fields`. */
const grouped = <T>(values: T[], fields: (value: T) => object, numbers: (values: T[]) => object) =>
  [...Map.groupBy(values, value => JSON.stringify(fields(value))).values()].map(group => ({
    ...fields(group[0]!),
    ...numbers(group)
  }))

const leadSteps = [
  { key: 'new', name: 'New' },
  { key: 'contacted', name: 'Contacted' },
  { key: 'qualified', name: 'Qualified' },
  { key: 'converted', name: 'Converted' }
]

/** When an opportunity was won, or is expected to be. */
export function dayOf({ transitions, close_date }: Opportunity): string | null {
  const { at, moved_at } = transitions.at(-1)!
  return at.kind === 'won' ? moved_at : close_date
}

export const expectedReports = {
  pipeline: (data: SalesData, found: Opportunity[]) => ({
    data: grouped(
      found,
      opportunity => {
        const { pipeline_id, key, name } = standing(opportunity)
        const { assigned_to } = opportunity
        return {
          pipeline_id,
          stage: key,
          stage_name: name,
          assigned_to,
          assigned_to_name: nameOf(data, assigned_to)
        }
      },
      sums
    ),
    totals: [
      { status: null, ...sums(found) },
      ...grouped(found, opportunity => ({ status: standing(opportunity).kind }), sums)
    ]
  }),

  forecast(_: SalesData, found: Opportunity[]) {
    const expected = found.filter(opportunity => standing(opportunity).kind !== 'lost')
    const status = (opportunity: Opportunity) => ({ status: standing(opportunity).kind })
    return {
      data: grouped(
        expected,
        opportunity => ({
          month: dayOf(opportunity)?.slice(0, 7) ?? null,
          ...status(opportunity)
        }),
        sums
      ),
      totals: grouped(expected, status, sums)
    }
  },

  funnel(data: SalesData, foundLeads: Lead[], found: Opportunity[], pipeline_id: number) {
    const stagesOf = (kind: string) =>
      data.stages.filter(stage => stage.pipeline_id === pipeline_id && stage.kind === kind)
    const stages = [...stagesOf('open'), ...stagesOf('won')]
    const sold = found.filter(opportunity => standing(opportunity).pipeline_id === pipeline_id)
    return {
      data: [
        ...steps(
          foundLeads.map(({ transitions }) => transitions),
          leadSteps
        ),
        ...steps(
          sold.map(({ transitions }) =>
            transitions.map(({ at: { key }, moved_at }) => ({ at: key, moved_at }))
          ),
          stages
        )
      ],
      totals: [{ count: foundLeads.length }, { count: sold.length }]
    }
  },

  sources(_: SalesData, foundLeads: Lead[], found: Opportunity[]) {
    const ofLeads = (leads: Lead[]) => [
      { measure: 'leads', count: leads.length, amount: null },
      {
        measure: 'qualified',
        count: leads.filter(({ transitions }) => transitions.some(({ at }) => at === 'qualified'))
          .length,
        amount: null
      },
      {
        measure: 'converted',
        count: leads.filter(lead => standing(lead) === 'converted').length,
        amount: null
      }
    ]
    const ofOpportunities = (opportunities: Opportunity[]) => {
      const won = opportunities.filter(opportunity => standing(opportunity).kind === 'won')
      return Object.entries({ opportunities, won }).map(([measure, counted]) => ({
        measure,
        count: counted.length,
        amount: sums(counted).amount
      }))
    }
    const bySource = <T>(
      values: T[],
      source: (value: T) => string | null,
      rows: (values: T[]) => object[]
    ) =>
      [...Map.groupBy(values, source)].flatMap(([source, group]) =>
        rows(group).map(row => ({ source, ...row }))
      )
    return {
      data: [
        ...bySource(foundLeads, ({ source }) => source, ofLeads),
        ...bySource(found, sourceOf, ofOpportunities)
      ],
      totals: [...ofLeads(foundLeads), ...ofOpportunities(found)]
    }
  },

  activity: (data: SalesData, found: Activity[]) => {
    const numbers = (activities: Activity[]) => ({
      count: activities.length,
      minutes: sumOf(activities, ({ minutes }) => minutes ?? 0)
    })
    const keyOf = ({ assigned_to, type, status }: Activity) => ({
      assigned_to,
      assigned_to_name: nameOf(data, assigned_to),
      type,
      status
    })
    return {
      data: grouped(found, keyOf, numbers),
      totals: [numbers(found)]
    }
  }
}

/** A deleted lead is still the source of what came from it. */
const sourceOf = ({ lead }: Opportunity) => lead?.source ?? null

/** The duration of each completed stay at a place, in seconds. */
const staysAt =
  (key: string) =>
  (transitions: Transition<string>[]): number[] =>
    transitions
      .slice(0, -1)
      .flatMap(({ at, moved_at }, i) =>
        at === key ? [(Date.parse(transitions[i + 1]!.moved_at) - Date.parse(moved_at)) / 1000] : []
      )

function steps(
  histories: Transition<string>[][],
  places: { key: string; name: string }[]
): object[] {
  const entered = places.map(
    ({ key }) => histories.filter(transitions => transitions.some(({ at }) => at === key)).length
  )
  return places.flatMap(({ key, name }, i) => {
    const stays = histories.flatMap(staysAt(key)).toSorted((a, b) => a - b)
    const middle =
      (stays[Math.floor((stays.length - 1) / 2)]! + stays[Math.floor(stays.length / 2)]!) / 2
    return [
      {
        step: key,
        step_name: name,
        measure: 'entered',
        count: entered[i],
        conversion:
          i + 1 === places.length || entered[i] === 0
            ? null
            : Math.round((entered[i + 1]! / entered[i]!) * 10_000) / 10_000,
        average_seconds:
          stays.length === 0 ? null : Math.round(sumOf(stays, seconds => seconds) / stays.length),
        median_seconds: stays.length === 0 ? null : Math.round(middle)
      },
      {
        step: key,
        step_name: name,
        measure: 'present',
        count: histories.filter(transitions => transitions.at(-1)!.at === key).length,
        conversion: null,
        average_seconds: null,
        median_seconds: null
      }
    ]
  })
}
