// Jobs: how far they are, who sees them, how they end, and that a kill repeats nothing.
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import t from 'tap'
import { deleteExpired } from '../../../src/core/db/expiry.ts'
import { Context } from '../../../src/core/access/context.ts'
import { failJob } from '../../../src/core/user-jobs.ts'
import { addMembers } from '../../../src/modules/marketing/campaigns/service.ts'
import {
  application,
  database,
  organization,
  ownerOf,
  settingsOf,
  work,
  type Call
} from '../../support/app.ts'
import { start } from '../../support/process.ts'

const app = await application(t)
const owner = ownerOf(app)
type Organization = Awaited<ReturnType<typeof organization>>

/** Adds contacts to a new campaign, by a job after the first thousand. */
async function addAll({ id }: Organization, call: Call, contacts: number) {
  await owner`insert into contacts (organization_id, first_name, last_name)
    select ${id}, 'Many', 'N' || i from generate_series(1, ${contacts}) i`
  const campaign = (await call('POST /api/campaigns', { name: 'All' })).json()
  const members = `/api/campaigns/${campaign.id}/members`
  const answer = await call(`POST ${members}`, { resource: 'contacts', filter: '' })
  const location = answer.headers.location as string
  return { campaign, members, location, job: async () => (await call(`GET ${location}`)).json() }
}
const membersOf = async ({ id }: Organization) =>
  (
    await owner<{ count: number }[]>`select count(*)::int as count from campaign_members
      where organization_id = ${id}`
  )[0]!.count

t.test('a job tells how far it is, and what it did', async t => {
  const one = await organization(app)
  const { call, admin } = one
  const { location, job } = await addAll(one, call, 2500)
  t.match(location, /^\/api\/jobs\/\d+$/)
  const waiting = await job()
  t.match(waiting, {
    kind: 'add_members',
    state: 'waiting',
    progress: { done: 1000, total: null },
    result: null,
    error: null,
    created_by: admin.user.id,
    started_at: null,
    ended_at: null
  })
  await work(app)
  t.match(await job(), {
    state: 'completed',
    progress: { done: 2500, total: null },
    result: { added: 2500 },
    started_at: String,
    ended_at: String
  })
  t.equal(await membersOf(one), 2500)
})

/** Deletes a stage of 2,300 opportunities: most of them are moved by a job. */
async function deleteFullStage({ id, call }: Organization) {
  const { data } = (await call('GET /api/stages')).json<{ data: Stage[] }>()
  const idOf = (key: string) => data.find(stage => stage.key === key)!.id
  const { pipeline_id } = data[0]!
  await owner`insert into opportunities (organization_id, pipeline_id, stage, title)
    select ${id}, ${pipeline_id}, 'qualification', 'Sale ' || n from generate_series(1, 2300) n`
  const deletion = `DELETE /api/stages/${idOf('qualification')}?move_to=prospecting`
  const { headers } = await call(deletion)
  return {
    deletion,
    idOf,
    location: headers.location as string,
    job: async () => (await call(`GET ${headers.location}`)).json(),
    inStage: async (key: string) =>
      (await call(`GET /api/opportunities?stage=${key}&count=exact&limit=1`)).json().total
  }
}
interface Stage {
  id: number
  key: string
  pipeline_id: number
}
/** Has the jobs of an organization fail. */
const failJobs = async ({ id }: Organization) => {
  const ctx = Context.system(app.services, id)
  const error = { code: 'internal', detail: 'A fault.' }
  for (const job of await owner<
    { id: number }[]
  >`select id from jobs where organization_id = ${id}`)
    await failJob(ctx, job.id, error)
}

t.test('moving the opportunities of a deleted stage is a job with a total', async t => {
  const { job } = await deleteFullStage(await organization(app))
  t.match(await job(), { kind: 'move_opportunities', progress: { done: 1000, total: 2300 } })
  await work(app)
  t.match(await job(), { state: 'completed', progress: { done: 2300, total: 2300 } })
})

t.test('moving opportunities completes: it cannot be canceled', async t => {
  const one = await organization(app)
  const { location, job, inStage } = await deleteFullStage(one)
  t.match(await job(), { state: 'waiting', is_cancelable: false })
  t.match((await one.call(`POST ${location}/cancellation`)).json(), {
    status: 409,
    detail: /cannot be canceled/
  })
  await work(app)
  t.match(await job(), { state: 'completed' })
  t.equal(await inStage('qualification'), 0)
})

t.test('after a failure, the same request moves the remaining opportunities', async t => {
  const one = await organization(app)
  const { deletion, location, inStage } = await deleteFullStage(one)
  await failJobs(one)
  await work(app)
  t.equal(await inStage('qualification'), 1300)
  const again = await one.call(deletion)
  t.equal(again.statusCode, 204)
  t.not(again.headers.location, location)
  t.match((await one.call(`GET ${again.headers.location}`)).json(), {
    progress: { done: 1000, total: 1300 }
  })
  await work(app)
  t.equal(await inStage('prospecting'), 2300)
  t.equal((await one.call(deletion)).statusCode, 404, 'then there is nothing left to delete')
})

t.test('after a failure, deleting another stage moves the remaining opportunities', async t => {
  for (const [key, target] of [
    ['proposal', 'prospecting'],
    ['prospecting', 'negotiation']
  ] as const) {
    const one = await organization(app)
    const { idOf, inStage } = await deleteFullStage(one)
    const other = `DELETE /api/stages/${idOf(key)}?move_to=negotiation`
    t.equal((await one.call(other)).statusCode, 409, 'while the job goes on')
    await failJobs(one)
    t.equal((await one.call(other)).statusCode, 204)
    await work(app)
    t.equal(await inStage(target), 2300, `${key} was deleted`)
  }
})

t.test('what is done at once is no job', async t => {
  const one = await organization(app)
  t.equal((await addAll(one, one.call, 10)).location, undefined)
  t.same((await one.call('GET /api/jobs')).json().data, [])
})

t.test('users see and cancel their own jobs, administrators all', async t => {
  const one = await organization(app)
  const [seller, colleague] = [await one.user('user'), await one.user('user')]
  const { location } = await addAll(one, seller.call, 1100)
  const stranger = await organization(app)
  for (const [who, status] of [
    [seller, 200],
    [one, 200],
    [colleague, 404],
    [stranger, 404]
  ] as const) {
    t.equal((await who.call(`GET ${location}`)).statusCode, status)
    const { data } = (await who.call('GET /api/jobs?state=waiting&kind=add_members')).json()
    t.equal(data.length, status === 200 ? 1 : 0)
  }
  for (const { call } of [colleague, stranger])
    t.equal((await call(`POST ${location}/cancellation`)).statusCode, 404)
  t.same((await seller.call('GET /api/jobs?state=failed')).json().data, [])
  const cancelled = await seller.call(`POST ${location}/cancellation`)
  t.equal(cancelled.statusCode, 200, 'one that waits ends at once')
  t.match(cancelled.json(), { state: 'cancelled', ended_at: String })
  await work(app)
  t.equal(await membersOf(one), 1000, 'what was done is kept')
  t.match((await seller.call(`POST ${location}/cancellation`)).json(), { status: 409 })
})

/** Runs `meanwhile` while a batch of a job of the application waits for the table of members. */
async function duringBatch(meanwhile: () => Promise<void>): Promise<void> {
  const released = Promise.withResolvers<void>()
  const locked = Promise.withResolvers<void>()
  const holding = owner.begin(async sql => {
    await sql`lock table campaign_members in share mode`
    locked.resolve()
    await released.promise
  })
  await locked.promise
  const working = work(app)
  const isWaiting = async () =>
    (
      await owner`select from pg_locks where not granted
      and relation = 'campaign_members'::regclass`
    ).length > 0
  while (!(await isWaiting())) await sleep(20)
  await meanwhile()
  released.resolve()
  await Promise.all([holding, working])
}

t.test('a running job is canceled after its batch, which is kept', async t => {
  const one = await organization(app)
  const { location, job } = await addAll(one, one.call, 3500)
  await duringBatch(async () => {
    t.match(await job(), { state: 'running' })
    const answer = await one.call(`POST ${location}/cancellation`)
    t.equal(answer.statusCode, 202)
    t.match(answer.json(), { state: 'cancelling' })
  })
  await work(app)
  t.match(await job(), { state: 'cancelled', progress: { done: 2000 }, ended_at: String })
  t.equal(await membersOf(one), 2000)
})

t.test('a job that is started again while it runs is one job, and does nothing twice', async t => {
  const one = await organization(app)
  const { members, location, job } = await addAll(one, one.call, 2500)
  await duringBatch(async () => {
    const ctx = Context.system(app.services, one.id, one.admin.user.id)
    const campaign_id = Number(members.split('/')[3])
    const filter = createHash('sha256').update('').digest('hex')
    const again = await addMembers.start(
      ctx,
      { campaign_id, resource: 'contacts', filter: '', after: 0 },
      { key: `${campaign_id}/${one.admin.user.id}/contacts/${filter}` }
    )
    t.equal(location, `/api/jobs/${again}`)
  })
  await work(app)
  t.match(await job(), { state: 'completed', progress: { done: 2500 }, result: { added: 1500 } })
  t.equal(await membersOf(one), 2500)
})

t.test('a job fails when its user has lost the permission, and says so', async t => {
  const one = await organization(app)
  const seller = await one.user('user')
  const { location } = await addAll(one, seller.call, 1100)
  await one.call(`PATCH /api/users/${seller.user.id}`, { role: 'viewer' })
  await work(app)
  t.match((await one.call(`GET ${location}`)).json(), {
    state: 'failed',
    error: { code: 'forbidden', detail: /campaign-members:create/ },
    ended_at: String
  })
  t.match((await one.call(`POST ${location}/cancellation`)).json(), { status: 409 })
})

t.test('a job that meets a fault is tried again, and then has failed', async t => {
  const one = await organization(app)
  const { job } = await addAll(one, one.call, 1100)
  await owner.unsafe(`create function fail() returns trigger language plpgsql as
    $$ begin raise exception 'a fault'; end $$;
    create trigger fail before insert on campaign_members
    for each statement execute function fail()`)
  await t.rejects(work(app))
  t.match(await job(), { state: 'running', progress: { done: 1000 }, error: null })
  await owner`update graphile_worker._private_jobs set attempts = 4, run_at = now()`
  await work(app)
  t.match(await job(), { state: 'failed', error: { code: 'internal' } })
  t.notMatch((await job()).error.detail, /fault/)
  await owner.unsafe('drop function fail() cascade')
})

t.test('a job is deleted 30 days after its end', async t => {
  const one = await organization(app)
  const { location } = await addAll(one, one.call, 1100)
  await work(app)
  const end = async (days: number) => {
    await owner`update jobs set ended_at = now() - make_interval(days => ${days})
      where organization_id = ${one.id}`
    await deleteExpired(app.services.database)
    return (await one.call(`GET ${location}`)).statusCode
  }
  t.same([await end(29), await end(31)], [200, 404])
})

t.test('a job whose process was killed goes on where it was, and does nothing twice', async t => {
  const url = await database(t)
  const sql = postgres(url, { max: 2, onnotice: () => {} })
  t.teardown(() => sql.end())
  const here = await application(t, { database_url: url })
  const { id, call } = await organization(here)
  await sql`insert into contacts (organization_id, first_name, last_name)
    select ${id}, 'Many', 'N' || i from generate_series(1, 9500) i`
  const campaign = (await call('POST /api/campaigns', { name: 'All' })).json()
  const all = { resource: 'contacts', filter: '' }
  const answer = await call(`POST /api/campaigns/${campaign.id}/members`, all)
  const job = async () => (await call(`GET ${answer.headers.location}`)).json()
  const members = async () =>
    (await sql<{ count: number }[]>`select count(*)::int as count from campaign_members`)[0]!.count
  await sql.unsafe(`create function wait() returns trigger language plpgsql as
    $$ begin perform pg_sleep(0.3); return null; end $$;
    create trigger wait after insert on campaign_members
    for each statement execute function wait()`)

  const first = await start(t, settingsOf(url))
  const goneThrough = async (least: number) => {
    while ((await job()).progress.done < least) await sleep(20)
  }
  await goneThrough(3000)
  first.child.kill('SIGKILL')
  await first.ended
  // what the server still does of the batch
  while (
    (
      await sql`select from pg_stat_activity where application_name = 'smartx'
    and datname = current_database() and state = 'active' and pid <> pg_backend_pid()`
    ).length > 0
  )
    await sleep(50)
  const killed = await job()
  t.match(killed, { state: 'running' })
  t.ok(killed.progress.done < 9500, 'in the middle')
  t.equal(await members(), killed.progress.done, 'it says what it has done')
  await sql`update graphile_worker._private_jobs set locked_at = now() - interval '5 minutes'
    where locked_at is not null`

  await start(t, settingsOf(url))
  await goneThrough(9500)
  while ((await job()).state === 'running') await sleep(50)
  t.match(await job(), {
    state: 'completed',
    progress: { done: 9500 },
    result: { added: 9500 },
    started_at: killed.started_at
  })
  t.equal(await members(), 9500)
  t.equal(
    (await sql`select from events where type = 'campaign_member.created'`).length,
    9500,
    'one event for each'
  )
})
