import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { database, settingsOf } from '../support/app.ts'
import { folder, start } from '../support/process.ts'

const ADMIN_PASSWORD = 'a quiet harbour 47'
/** The lines of a log that are warnings or worse. */
const complaints = (output: string) =>
  output.split('\n').filter(line => /^\{"level":[456]0/.test(line) || /^\s+at /.test(line))

t.test('SIGTERM with busy processors exits with 0 and logs no error', async t => {
  const busy = Array.from({ length: 4 }, () => spawn(process.execPath, ['-e', 'for (;;);']))
  t.teardown(() => {
    for (const one of busy) one.kill('SIGKILL')
  })
  await Promise.all(
    [0, 10, 200, 600].map(async delay => {
      const process = await start(t, { DATA_DIR: folder(t) })
      const probe = (async () => {
        while (process.child.exitCode === null) {
          await process.send('GET /readyz').catch(() => {})
          await sleep(20)
        }
      })()
      await sleep(delay)
      process.child.kill('SIGTERM')
      t.equal(await process.ended, 0, process.output())
      await probe
      t.same(complaints(process.output()), [])
    })
  )
})

t.test('after SIGTERM, requests are served for DRAIN_SECONDS', async t => {
  const settings = settingsOf(await database(t))
  const process = await start(t, { ...settings, ADMIN_PASSWORD, DRAIN_SECONDS: '2' })
  const stopped = performance.now()
  process.child.kill('SIGTERM')
  await sleep(500)
  const ready = await process.send('GET /readyz')
  t.match(
    [ready.status, ready.headers.get('connection'), await ready.json()],
    [503, 'close', { detail: 'The service is shutting down.' }]
  )
  await sleep(1_000)
  t.equal((await process.send('GET /healthz')).status, 200)
  t.equal(await process.ended, 0)
  t.ok(performance.now() - stopped > 2_000)
  t.match(process.output(), /"status":503.*"failure":"The service is shutting down\."/)
})

t.test('Ctrl-C does not wait, even behind a load balancer', async t => {
  const settings = settingsOf(await database(t))
  const process = await start(t, { ...settings, ADMIN_PASSWORD, TRUST_PROXY: '10.0.0.0/8' })
  const stopped = performance.now()
  process.child.kill('SIGINT')
  t.equal(await process.ended, 0)
  t.ok(performance.now() - stopped < 4_000)
})
