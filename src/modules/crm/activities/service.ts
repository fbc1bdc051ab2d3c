import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { defined } from '../../../core/defined.ts'
import { ruleBroken, unknownReference } from '../../../core/errors.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import { checkRules, concernsRules, newRecord } from '../../../core/records/rules.ts'
import { assertWritable, placesIn } from '../../../core/records/visibility.ts'
import { missingLinks, newestActivities } from './queries.ts'
import { activityResource } from './resource.ts'
import { activityRules, type Activity as Row } from './rules.ts'
import type { Activity, ActivityChanges, Completion, NewActivity } from './schema.ts'
import type { Link } from './table.ts'

const records = repository(activityResource)

interface NewestQuery {
  limit: number
  /** A date, a date and time, or a duration before now. */
  since?: string
  /** The position after which to go on. */
  before?: [at: string, id: number]
}

export const activityService = {
  ...records,

  /** Creates an activity; a note is completed when it is written. Errors: 422. */
  async create(ctx: Context, input: Static<typeof NewActivity>) {
    const { completed_at = null, links } = input
    const isDone = input.type === 'note' || completed_at !== null
    const status = input.status ?? (isDone ? 'completed' : 'planned')
    const after = newRecord(activityResource, { ...input, status })
    checkRules(activityRules, { before: undefined, after })
    if (links) await assertLinks(ctx, links)
    return await records.create(ctx, {
      ...input,
      status,
      completed_at: completionTime(status, completed_at)
    })
  },

  /** Changes an activity. Errors: 404, 412, 422, 409 for one that cannot be completed. */
  async update(
    ctx: Context,
    id: number,
    changes: Static<typeof ActivityChanges>,
    versions?: Versions
  ) {
    const { links } = changes
    if (!links && !concernsRules(activityRules, changes))
      return await records.update(ctx, id, changes, versions)
    return await ctx.transaction(async ctx => {
      const before = await records.lock(ctx, id, versions)
      const after = { ...before, ...defined(changes) } as Row
      checkRules(activityRules, { before, after })
      if (links) await assertLinks(ctx, links, before.links)
      const completed_at = completionTime(after.status, after.completed_at ?? before.completed_at)
      return await records.update(ctx, id, { ...changes, completed_at })
    })
  },

  /** Completes an activity; a completed one is unchanged. Errors: 404, 412, 409 if cancelled. */
  async complete(
    ctx: Context,
    id: number,
    completion: Static<typeof Completion>,
    versions?: Versions
  ) {
    return await ctx.transaction(async ctx => {
      const { status } = await records.lock(ctx, id)
      const changes = status === 'completed' ? {} : { ...completion, status: 'completed' as const }
      assertWritable(ctx, activityResource, 'update', placesIn(changes))
      return await activityService.update(ctx, id, changes, versions)
    })
  },

  /** At most `limit` activities of each of the records `ids`, newest first, by record. */
  async newestOf(
    ctx: Context,
    type: Link['type'],
    ids: number[],
    { limit, since = '-infinity', before: [at, id] = ['infinity', 0] }: NewestQuery
  ): Promise<Map<number, Static<typeof Activity>[]>> {
    const query = newestActivities(type, ctx.hiddenFields(activityResource.path))
    const rows = await ctx.rows(query, { ids, limit, since, at, id })
    const bySubject = Map.groupBy(rows, ({ subject_id }) => subject_id)
    return new Map(
      [...bySubject].map(([subject_id, found]) => [
        subject_id,
        found.map(({ subject_id: _, ...activity }) => activity as Static<typeof Activity>)
      ])
    )
  }
}

/** When an activity was completed or else created: its place among what happened. */
export const occurredAt = ({
  completed_at,
  created_at
}: Pick<Row, 'completed_at' | 'created_at'>): string => completed_at ?? created_at

/** The time of completion follows the status. */
const completionTime = (status: string, given: string | null): string | null =>
  status === 'completed' ? (given ?? new Date().toISOString()) : null

const keyOf = ({ type, id }: Link) => `${type} ${id}`

/** Errors: 422 for a link that is repeated, or new and to no record. */
async function assertLinks(ctx: Context, links: Link[], before: Link[] = []): Promise<void> {
  const keys = links.map(keyOf)
  const repeated = keys.findIndex((key, i) => keys.indexOf(key) < i)
  if (repeated >= 0)
    throw ruleBroken(`links/${repeated}`, 'An activity can be linked to a record only once.', {
      rule: 'distinct'
    })
  const known = new Set(before.map(keyOf))
  const added = links.map((link, i) => ({ ...link, i })).filter(link => !known.has(keyOf(link)))
  if (added.length === 0) return
  const missing = await ctx.read<{ i: number }>(missingLinks(added))
  if (missing.length > 0) throw unknownReference(missing.map(({ i }) => `links/${i}/id`))
}
