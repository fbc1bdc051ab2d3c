import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { RequestCounts, type Window } from '../../src/http/request-counts.ts'

const counts = new RequestCounts()
const count = (client: string) => {
  let result = { current: 0, ttl: 0 }
  counts.incr(client, (_error, counted) => (result = counted), 500, 10)
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

t.test('a hundred thousand clients take the room of ten thousand', async t => {
  const open = new Set<Window>()
  const counts = new RequestCounts({
    onRequest: window => open.add(window),
    onEnd: window => open.delete(window)
  })
  const count = (client: string) => {
    let current = 0
    counts.incr(client, (_error, counted) => (current = counted.current), 60_000, 10)
    return current
  }
  count('the first')
  for (let i = 0; i < 100_000; i++) count(`user ${i}`)
  t.equal(open.size, 10_000)
  t.equal(count('user 99999'), 2, 'the latest are counted')
  t.equal(count('the first'), 1, 'the others begin again')
})
