import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { test } from 'tap'
import type { Entry } from '../../../../src/modules/integrations/events/service.ts'
import { database, settingsOf } from '../../../support/app.ts'
import { start, type Env } from '../../../support/process.ts'

/** Changes that the writers make, and how often a process is killed; CHANGES=10000 KILLS=10. */
const changes = Number(process.env.CHANGES ?? 1_500)
const kills = Number(process.env.KILLS ?? 2)
const writers = 16
const contacts = 40

const credentials = { username: 'admin@example.com', password: 'a quiet harbour 47' }
const random = (below: number) => Math.floor(Math.random() * below)

test('a reader gets each change once, those of a record in order', async t => {
  const url = await database(t)
  const owner = postgres(url, { max: writers + 2, onnotice: () => {} })
  t.teardown(async () => await owner.end())
  const env = {
    ...settingsOf(url),
    ADMIN_PASSWORD: credentials.password,
    RATE_LIMIT_MAX: '1000000'
  }
  let processes = [await start(t, env), await start(t, env)]
  const login = await processes[0]!.send('POST /api/auth/login', credentials)
  const { token } = (await login.json()) as { token: string }
  const headers: Env = { authorization: `Bearer ${token}` }
  const [organization] = await owner`select id from organizations`
  await owner`insert into contacts (organization_id, first_name, last_name)
    select ${organization!.id}, 'N', n::text from generate_series(1, ${contacts}) n`

  const work = { left: changes }
  const slow = owner.begin(async sql => {
    await sql`insert into leads (organization_id, source) values (${organization!.id}, 'slow')`
    while (work.left > 0) await sleep(100)
  })
  const write = async () => {
    while (work.left > 0)
      await owner
        .begin(async sql => {
          for (let i = random(4); i >= 0; i--) {
            await sql`update contacts set last_name = ${String(random(1e9))}, version = version + 1
              where id = ${1 + random(contacts)}`
            work.left--
            if (random(7) === 0) await sleep(random(60))
          }
          if (random(20) === 0) throw new Error('undone')
        })
        .catch((error: unknown) => {
          const { message, code } = error as { message: string; code?: string }
          if (message !== 'undone' && code !== '40P01') throw error
        })
  }
  const written = Promise.all([slow, ...Array.from({ length: writers }, write)])
  const killed = (async () => {
    for (let i = 1; i <= kills; i++) {
      const rest = changes * (1 - i / (kills + 1))
      while (work.left > rest) await sleep(20)
      const [first, second] = processes as [(typeof processes)[0], (typeof processes)[0]]
      first.child.kill('SIGKILL')
      await first.ended
      processes = [second, await start(t, env)]
    }
  })()

  const entries: Entry[] = []
  let cursor = '0-'
  let isComplete = false
  const finished = Promise.all([written, killed]).then(() => sleep(1_500))
  void finished.then(() => (isComplete = true))
  for (let isLast = false; !isLast;) {
    isLast = isComplete
    const query = `after=${cursor}&types=contact.*,lead.*&wait=1&limit=500`
    const server = processes[random(2)]!
    const answer = await server.send(`GET /api/events?${query}`, undefined, headers).catch(() => {})
    if (answer?.status !== 200) continue // it was killed
    const page = (await answer.json()) as { data: Entry[]; next_cursor: string }
    entries.push(...page.data)
    cursor = page.next_cursor
    if (page.data.length > 0) isLast = false
  }
  await finished

  const events = await owner`select id from events
    where subject_type in ('contact', 'lead') and details is null order by id`
  const [sent, all] = [entries.map(({ id }) => id), events.map(({ id }) => Number(id))]
  t.ok(all.length > changes / 2, `${all.length} events`)
  t.same(
    sent.toSorted((a, b) => a - b),
    all,
    'each exactly once'
  )
  const versions = new Map<number, number>()
  const seen = new Map<number, unknown>()
  for (const { subject, version, after } of entries) {
    if (subject.type !== 'contact') continue
    const before = versions.get(subject.id) ?? 0
    if (version !== before + 1) t.fail(`version ${version} of ${subject.id} after ${before}`)
    versions.set(subject.id, version!)
    seen.set(subject.id, (after as { last_name: string }).last_name)
  }
  const rows = await owner`select id, last_name from contacts`
  t.same(seen, new Map(rows.map(({ id, last_name }) => [Number(id), last_name as string])))
  const [positions] = await owner`select max(position)::int = count(*)::int as are_dense
    from event_chain where organization_id = ${organization!.id}`
  t.ok(positions!.are_dense)
})
