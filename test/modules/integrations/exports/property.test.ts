// Export + the feed after it = the live tables, whatever is written meanwhile.
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import t from 'tap'
import { startExports } from '../../../../src/jobs/exports.ts'
import { application, organization, ownerOf, type Call } from '../../../support/app.ts'
import { differences, follow, jobOf, live, recordsIn, start } from './exports.ts'

/** Exports that are made; EXPORTS=1000 for more. */
const count = Number(process.env.EXPORTS ?? 10)
const paths = { contact: 'contacts', account: 'accounts', lead: 'leads', tag: 'tags' }
const types = Object.keys(paths)

const app = await application(t)
const { call, id: organization_id } = await organization(app)
// what other organizations write has positions of their own
const other = await organization(app)

const random = (n: number) => Math.floor(Math.random() * n)

/** Writes at random by the API until it is stopped: single records, and batches of them. */
async function write(call: Call, isStopped: () => boolean): Promise<number> {
  const mine: { path: string; id: number; isDeleted: boolean }[] = []
  let writes = 0
  const create = async () => {
    const [path, body] = [
      ['contacts', { first_name: 'Eva', last_name: `Ek ${writes}` }],
      ['accounts', { name: `Acme ${Math.random()}` }],
      ['leads', { source: 'website' }],
      ['tags', { name: `tag ${Math.random()}` }]
    ][random(4)] as [string, object]
    const { id } = (await call(`POST /api/${path}`, body)).json<{ id: number }>()
    mine.push({ path, id, isDeleted: false })
  }
  const change = async (one: (typeof mine)[number]) => {
    const url = `/api/${one.path}/${one.id}`
    if (one.isDeleted) await call(`POST ${url}/restore`)
    else if (random(3) === 0) await call(`DELETE ${url}`)
    else {
      const field = { contacts: 'position', accounts: 'city', leads: 'source', tags: 'name' }
      await call(`PATCH ${url}`, { [field[one.path as 'tags']]: `value ${Math.random()}` })
      return
    }
    one.isDeleted = !one.isDeleted
  }
  const many = async () =>
    await call('POST /api/batch', {
      mode: 'atomic',
      operations: Array.from({ length: 1 + random(40) }, (_, i) => ({
        op: 'create',
        type: i % 2 === 0 ? 'contact' : 'account',
        data:
          i % 2 === 0 ? { first_name: 'A', last_name: `B ${i}` } : { name: `C ${Math.random()}` }
      }))
    })
  while (!isStopped()) {
    writes++
    const kind = random(10)
    if (kind === 0) await many()
    else if (kind < 4 || mine.length === 0) await create()
    else await change(mine[random(mine.length)]!)
  }
  return writes
}

/** Transactions of random length in the database, of which some are undone. */
async function writeSlowly(isStopped: () => boolean): Promise<number> {
  let writes = 0
  for (; !isStopped(); writes++) {
    const work = ownerOf(app).begin(async sql => {
      for (let i = random(6); i >= 0; i--) {
        await sql`insert into contacts (organization_id, first_name, last_name)
          values (${organization_id}, 'Slow', 'N' || ${String(i)}::text)`
        await sql`update contacts set position = random()::text, version = version + 1
          where ctid = (select ctid from contacts where organization_id = ${organization_id}
            and deleted_at is null limit 1 for update skip locked)`
        await sleep(random(15))
      }
      if (random(5) === 0) throw new Error('undone')
    })
    await work.catch((error: Error) => {
      if (error.message !== 'undone') throw error
    })
  }
  return writes
}

interface Made {
  text: string
  cursor: string
}

/** Makes exports, one after the other, while all kinds of writers write. */
async function makeUnderLoad(n: number): Promise<{ files: Made[]; writes: number; rows: number }> {
  let isStopped = false
  const stopped = () => isStopped
  const writers = [
    write(call, stopped),
    write(call, stopped),
    write(other.call, stopped),
    writeSlowly(stopped),
    writeSlowly(stopped)
  ]
  const files: Made[] = []
  let rows = 0
  try {
    while (files.length < n) {
      const id = await start(call, { types })
      let job = await jobOf(call, id)
      for (; !/completed|failed/.test(job.state); job = await jobOf(call, id)) await sleep(20)
      if (job.state === 'failed') throw new Error(JSON.stringify(job.error))
      const text = (await call(`GET ${job.result.href}`)).body
      files.push({ text, cursor: job.result.cursor! })
      rows = job.result.rows
    }
  } finally {
    isStopped = true
  }
  const counts = await Promise.all(writers)
  return { files, writes: counts.reduce((sum, count) => sum + count), rows }
}

/** Exports between which nobody stops writing. */
const atOnce = 50

t.test(`${count} exports under load, each with the feed after it, are the live tables`, async t => {
  const runner = startExports(app.services, pino({ level: 'silent' }))
  try {
    for (let made = 0; made < count; made += atOnce) {
      const { files, writes, rows } = await makeUnderLoad(Math.min(atOnce, count - made))
      const now = await live(call, paths)
      let events = 0
      for (const { text, cursor } of files) {
        const records = recordsIn(text)
        events += await follow(call, records, types, cursor)
        t.same(differences(records, now).slice(0, 3), [])
      }
      t.ok(events > 0, `${rows} records, ${events} events, ${writes} writes`)
    }
  } finally {
    await runner.stop()
  }
})
