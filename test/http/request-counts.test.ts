import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { RequestCounts } from '../../src/http/request-counts.ts'

const counts = new RequestCounts()
const count = (client: string) => {
  let result = { current: 0, ttl: 0 }
  counts.incr(client, (_error, counted) => (result = counted), 500)
  return result
}

t.test('the requests of a window are counted until it ends', async t => {
  t.match(count('a'), { current: 1, ttl: 500 })
  t.match(count('a'), { current: 2 })
  t.match(count('b'), { current: 1 })
  await sleep(700)
  t.match(count('a'), { current: 1 })
})

t.test('a window ends when it should, even if the clock is set back meanwhile', async t => {
  count('c')
  const { now } = Date
  Date.now = () => now() - 3_600_000
  t.teardown(() => {
    Date.now = now
  })
  const { current, ttl } = count('c')
  t.equal(current, 2)
  t.ok(ttl <= 500, `${ttl} ms are left`)
  await sleep(700)
  t.match(count('c'), { current: 1 })
})
