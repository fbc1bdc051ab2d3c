import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { visibleColumns } from '../../../core/db/columns.ts'
import { notFound } from '../../../core/errors.ts'
import { equal } from '../../../core/records/filter.ts'
import { Lists, type ListQuery, type Page } from '../../../core/records/list.ts'
import { cancelJob, isCancelable, jobs } from '../../../core/user-jobs.ts'
import type { jobSchema } from './schema.ts'

type Job = Static<ReturnType<typeof jobSchema>>
type Row = Omit<Job, 'progress' | 'is_cancelable'> & Job['progress']

const columns = visibleColumns(jobs, ['key', 'payload', 'batch'])
const lists = new Lists<Row>({ name: 'job', table: jobs, columns })

const present = ({ id, kind, state, done, total, ...row }: Row): Job => ({
  id,
  kind,
  state,
  is_cancelable: row.ended_at === null && isCancelable(kind),
  progress: { done, total },
  ...row
})

/** With all fields, whichever are requested: some are made of others. */
const whole = ({ fields: _, ...query }: ListQuery): ListQuery => query

export const jobService = {
  /** One page of the jobs that the caller may see, newest first. Errors: as `Lists.list`. */
  async list(ctx: Context, query: ListQuery): Promise<Page<Job>> {
    const { data, ...page } = await lists.list(ctx, whole(query))
    return { data: data.map(present), ...page }
  },

  /** All of them, in batches. Errors: as `Lists.stream`. */
  async *stream(ctx: Context, query: ListQuery): AsyncGenerator<Job[]> {
    for await (const rows of lists.stream(ctx, whole(query))) yield rows.map(present)
  },

  /** One job. Errors: 404, also for one of another user. */
  async get(ctx: Context, id: number): Promise<Job> {
    const row = await lists.first(ctx, { filters: equal({ id }) })
    if (!row) throw notFound('job')
    return present(row)
  },

  /** Cancels a job, and returns it. Errors: as `cancelJob`. */
  async cancel(ctx: Context, id: number): Promise<Job> {
    await cancelJob(ctx, id)
    return await jobService.get(ctx, id)
  }
}
