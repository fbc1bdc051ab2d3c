import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import postgres from 'postgres'
import t, { type Test } from 'tap'
import { startJobs } from '../../src/jobs/runner.ts'
import { application, database, databaseUrl, organization } from '../support/app.ts'

/** An application, its database, and a function that adds a job that has nothing to do. */
async function queue(t: Test) {
  const database_url = await database(t)
  const app = await application(t, { database_url })
  const { id } = await organization(app)
  const sql = postgres(database_url, { max: 1, onnotice: () => {} })
  t.teardown(() => sql.end())
  const add = async () =>
    await sql`select graphile_worker.add_job('rescore_leads',
      json_build_object('organization_id', ${id}::bigint))`
  const jobsAreDone = async () => {
    const deadline = performance.now() + 30_000
    const count = async () =>
      (await sql<{ count: number }[]>`select count(*)::int as count from graphile_worker.jobs`)[0]!
        .count
    while (performance.now() < deadline && (await count()) > 0) await sleep(50)
    t.equal(await count(), 0, 'all jobs are done')
  }
  const lines: string[] = []
  const log = pino({ level: 'warn' }, { write: line => void lines.push(line) })
  const begin = () => startJobs(app.services, database_url, log)
  return { sql, add, jobsAreDone, begin, lines, database_url }
}

t.test('jobs that were added before the clock was set back are done now', async t => {
  const { sql, add, jobsAreDone, begin } = await queue(t)
  await add()
  await add()
  const later = sql`now() + interval '1 hour'`
  await sql`update graphile_worker._private_jobs
    set created_at = ${later}, updated_at = ${later}, run_at = ${later}`
  await sql`update graphile_worker._private_jobs
    set locked_at = ${later}, locked_by = 'killed', attempts = 1
    where id = (select min(id) from graphile_worker._private_jobs)`
  const jobs = begin()
  await jobsAreDone()
  await jobs.stop()
})

t.test('a job that is to run later is left alone', async t => {
  const { sql, add, begin } = await queue(t)
  await add()
  await sql`update graphile_worker._private_jobs set run_at = now() + interval '1 hour'`
  const jobs = begin()
  await sleep(1_000)
  await jobs.stop()
  t.match(await sql`select run_at > now() as waits, attempts from graphile_worker.jobs`, [
    { waits: true, attempts: 0 }
  ])
})

t.test('jobs go on after the database was gone', async t => {
  const { add, jobsAreDone, begin, database_url } = await queue(t)
  const jobs = begin()
  await add()
  await jobsAreDone()
  const name = new URL(database_url).pathname.slice(1)
  const admin = postgres(databaseUrl('postgres'), { max: 1 })
  t.teardown(() => admin.end())
  await admin.unsafe(`alter database ${name} with allow_connections false`)
  const endConnections = async () =>
    await admin`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name}`
  await endConnections()
  await sleep(4_000)
  await endConnections()
  await admin.unsafe(`alter database ${name} with allow_connections true`)
  await add()
  await jobsAreDone()
  await jobs.stop()
})

t.test('a stop waits for the end of all connections, and logs nothing', async t => {
  const { sql, add, jobsAreDone, begin, lines } = await queue(t)
  const jobs = begin()
  await add()
  await jobsAreDone()
  await Promise.all([jobs.stop(), jobs.stop()])
  const open = async () =>
    await sql`select state from pg_stat_activity
      where datname = current_database() and application_name = 'smartx-jobs'`
  for (let i = 0; i < 50 && (await open()).length > 0; i++) await sleep(20) // backends that exit
  t.same(await open(), [])
  t.same(lines, [])
})
