import type { FastifyBaseLogger } from 'fastify'
import {
  Logger,
  run,
  runOnce,
  type Runner,
  type RunnerOptions,
  type TaskList
} from 'graphile-worker'
import { setTimeout as sleep } from 'node:timers/promises'
import { Context, type Services } from '../core/access/context.ts'
import { soon } from '../core/db/database.ts'
import { enqueue, type Jobs } from '../core/jobs.ts'
import { addMembers } from '../modules/marketing/campaigns/service.ts'
import { moveOpportunities } from '../modules/sales/opportunities/service.ts'
import { rescoreLeads } from './rescore-leads.ts'

/** Each does a batch of a job, as whoever asked for it, and returns what is left of it. A batch is done within a second or so. */
type Tasks = {
  [Name in keyof Jobs]: (ctx: Context, job: Jobs[Name]) => Promise<Jobs[Name] | undefined>
}

const tasks: Tasks = {
  rescore_leads: rescoreLeads,
  move_opportunities: moveOpportunities,
  add_members: async (ctx, job) => (await addMembers(ctx, job)).rest
}

/** How long a job goes on with its batches before it gives its place to the others and leaves the rest to be done. Milliseconds. */
const turn = 2_000

/** The tasks as graphile-worker runs them. */
const taskList = (services: Services): TaskList =>
  Object.fromEntries(
    (Object.keys(tasks) as (keyof Jobs)[]).map(name => [
      name,
      async payload => {
        await takeTurn(services, name, payload as Jobs[typeof name])
      }
    ])
  )

async function takeTurn<Name extends keyof Jobs>(
  services: Services,
  name: Name,
  job: Jobs[Name]
): Promise<void> {
  const { organization_id, user_id = null } = job as {
    organization_id: number
    user_id?: number | null
  }
  const ctx = new Context(services, { organization_id, user_id, role: 'admin', session_id: null })
  const until = performance.now() + turn
  let rest: Jobs[Name] | undefined = job
  while (rest && performance.now() < until) rest = await tasks[name](ctx, rest)
  if (rest) await enqueue(ctx, name, rest)
}

/** What graphile-worker has to say is of interest when something went wrong. */
const loggerOf = (log: FastifyBaseLogger) =>
  new Logger(() => (level, message, { error }) => {
    if (level === 'error') log.error({ err: error }, message)
    else if (level === 'warning') log.warn(message)
    else log.trace(message)
  })

const options = (services: Services, database_url: string, log: FastifyBaseLogger): RunnerOptions => ({
  connectionString: database_url,
  taskList: taskList(services),
  logger: loggerOf(log),
  noHandleSignals: true
})

/** How long after the database was lost it is tried again. Milliseconds. */
const pause = 5_000

/** Does jobs until it is stopped, which waits for those that have begun. They work with `services`; the queue has connections of its own. */
export function startJobs(
  services: Services,
  database_url: string,
  log: FastifyBaseLogger
): { stop: () => Promise<void> } {
  const stopping = new AbortController()
  let runner: Runner | undefined
  const lost = (error: unknown) => {
    log.error({ err: error }, 'the workers have lost the database')
  }
  const working = (async () => {
    while (!stopping.signal.aborted) {
      try {
        await releaseAbandoned(services)
        runner = await run({ ...options(services, database_url, log), concurrency: 2, maxPoolSize: 3 })
        if (stopping.signal.aborted) await runner.stop()
        await runner.promise // which ends by itself when the database is gone for some seconds
      } catch (error) {
        lost(error)
      }
      await sleep(pause, undefined, { signal: stopping.signal }).catch(() => {})
    }
  })()
  const watch = setInterval(() => {
    releaseAbandoned(services).catch(lost)
  }, abandonment)
  return {
    async stop() {
      clearInterval(watch)
      stopping.abort()
      await runner?.stop().catch(() => {}) // it may have ended by itself
      await working
    }
  }
}

/** A job that was begun so long ago is nobody's any more. Milliseconds. */
const abandonment = 60_000

/** Gives back the jobs of processes that were killed: graphile-worker itself waits four hours, since it does not know that our jobs are short. */
async function releaseAbandoned({ database: { pool } }: Services): Promise<void> {
  await soon(pool`select graphile_worker.force_unlock_workers(array(
    select distinct locked_by from graphile_worker.jobs where locked_at < now() - make_interval(secs => ${abandonment / 1000})))`)
}

/** Does the jobs that are due, and returns when none is left. */
export const runPendingJobs = async (
  services: Services,
  database_url: string,
  log: FastifyBaseLogger
): Promise<void> => {
  await runOnce(options(services, database_url, log))
}
