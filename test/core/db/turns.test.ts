import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Turns } from '../../../src/core/db/turns.ts'
import { Problem, tooManyRequests } from '../../../src/core/errors.ts'

const limits = { total: 4, perKey: 2, queue: 3, wait: 60_000, refusal: tooManyRequests }

/** Work that ends when it is told to, and what has begun of it. */
function recorder(turns: Turns) {
  const begun: string[] = []
  const ends = new Map<string, () => void>()
  const run = async (name: string) =>
    await turns.run(name[0], async () => {
      begun.push(name)
      await new Promise<void>(resolve => {
        ends.set(name, resolve)
      })
    })
  const end = async (name: string) => {
    ends.get(name)!()
    await sleep(1)
  }
  return { begun, run, end }
}

t.test('no key has more turns at a time than its share, and all together no more', async t => {
  const { begun, run } = recorder(new Turns(limits))
  for (const name of ['a1', 'a2', 'a3', 'b1', 'b2', 'c1']) void run(name)
  await sleep(1)
  t.same(begun, ['a1', 'a2', 'b1', 'b2'])
})

t.test('the key with the least running comes next, then the one that waits longest', async t => {
  const { begun, run, end } = recorder(new Turns({ ...limits, total: 2 }))
  for (const name of ['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1']) void run(name)
  await sleep(1)
  for (const name of ['a1', 'a2', 'b1', 'a3', 'c1']) await end(name)
  t.same(begun, ['a1', 'a2', 'b1', 'a3', 'c1', 'b2', 'a4'])
})

t.test('a full queue is a 429 for its key only', async t => {
  const turns = new Turns({ ...limits, total: 2 })
  const { begun, run, end } = recorder(turns)
  for (const name of ['a1', 'a2', 'a3', 'a4', 'a5']) void run(name)
  const refusal = await run('a6').catch((error: unknown) => error)
  t.match(refusal, { status: 429, extra: { headers: { 'retry-after': '60' } } })
  void run('b1')
  await end('a1')
  t.equal(begun.at(-1), 'b1')
})

t.test('a turn that does not come in time is a 429, and is not taken later', async t => {
  const { begun, run, end } = recorder(new Turns({ ...limits, wait: 20 }))
  for (const name of ['a1', 'a2']) void run(name)
  // a wait alone does not keep a process alive
  await Promise.all([t.rejects(run('a3'), Problem), sleep(40)])
  await end('a1')
  void run('a4')
  await sleep(1)
  t.same(begun, ['a1', 'a2', 'a4'])
})

t.test('work that fails ends its turn, and a turn ends only once', async t => {
  const turns = new Turns({ ...limits, total: 1, perKey: 1 })
  await t.rejects(
    turns.run('a', async () => await Promise.reject(new Error('failed'))),
    /failed/
  )
  const end = await turns.begin('a')
  end()
  end()
  const { begun, run } = recorder(turns)
  for (const name of ['a1', 'b1']) void run(name)
  await sleep(1)
  t.same(begun, ['a1'])
})
