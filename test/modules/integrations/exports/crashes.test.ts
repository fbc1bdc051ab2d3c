import { setTimeout as sleep } from 'node:timers/promises'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import postgres from 'postgres'
import { test } from 'tap'
import { database, settingsOf } from '../../../support/app.ts'
import { folder, start } from '../../../support/process.ts'

const credentials = { username: 'admin@example.com', password: 'a quiet harbour 47' }

test('the export of a process that was killed is made by another one', async t => {
  const url = await database(t)
  const owner = postgres(url, { max: 2, onnotice: () => {} })
  t.teardown(async () => await owner.end())
  const data_dir = folder(t)
  const serve = async () => {
    const server = await start(t, {
      ...settingsOf(url),
      ADMIN_PASSWORD: credentials.password,
      DATA_DIR: data_dir
    })
    if (!server.address) throw new Error(server.output())
    const { token } = (await (await server.send('POST /api/auth/login', credentials)).json()) as {
      token: string
    }
    const send = async (request: string, body?: object) =>
      await server.send(request, body, { authorization: `Bearer ${token}` })
    const job = async (id: number) =>
      (await (await send(`GET /api/jobs/${id}`)).json()) as {
        state: string
        progress: { done: number }
        result: { href: string; rows: number }
      }
    return { ...server, send, job }
  }

  const first = await serve()
  await owner`insert into contacts (organization_id, first_name, last_name)
    select id, 'Many', 'N' || i from organizations, generate_series(1, 300000) i`
  const created = await first.send('POST /api/exports', { types: ['contact'] })
  const { id } = (await created.json()) as { id: number }

  const leaseOf = async () =>
    (await owner<{ lease: string | null }[]>`select lease from exports where id = ${id}`)[0]!.lease
  const files = () => readdirSync(path.join(data_dir, 'files', '1'))
  while ((await first.job(id)).progress.done === 0) await sleep(20)
  t.match(files(), [/\.part$/])
  const lease = await leaseOf()
  t.ok(lease)
  first.child.kill('SIGKILL')
  await first.ended
  await owner`update exports set leased_until = now()` // rather than 30 seconds later
  const left = await serve()
  let job = await left.job(id)
  for (; job.state !== 'completed'; job = await left.job(id)) await sleep(50)
  t.not(await leaseOf(), lease)
  t.equal(job.result.rows, 300_000)
  const text = await (await left.send(`GET ${job.result.href}`)).text()
  t.equal(text.split('\n').length, 300_001)
  t.equal(files().filter(name => name.endsWith('.ndjson')).length, 1)
})
