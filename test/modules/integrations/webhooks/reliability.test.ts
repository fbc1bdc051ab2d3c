// A receiver that fails: nothing is lost, nothing comes before what it follows.
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { organization } from '../../../support/app.ts'
import {
  acknowledge,
  receiver,
  sender,
  sending,
  until,
  type Received
} from '../../../support/receiver.ts'

const app = await sending(t)

/** Writes to some contacts at once, in parts: what is not confirmed is not counted. */
async function write(call: Awaited<ReturnType<typeof organization>>['call'], changes: number) {
  const contacts = await Promise.all(
    Array.from({ length: 8 }, async (_, i) => {
      const body = { first_name: 'N', last_name: `${i}` }
      return (await call('POST /api/contacts', body)).json<{ id: number }>().id
    })
  )
  await Promise.all(
    contacts.map(async id => {
      for (let i = 0; i < changes; i++)
        await call(`PATCH /api/contacts/${id}`, { last_name: `${i} changes` })
    })
  )
  return contacts
}

/** All IDs of the feed, and the versions of each record in the order of their first acceptance. */
async function assertComplete(
  t: Test,
  call: Awaited<ReturnType<typeof organization>>['call'],
  accepted: Received[]
) {
  const { data } = (await call('GET /api/events?types=contact.*&limit=500')).json()
  const expected = data.map(({ id }: { id: number }) => `evt_${id}`)
  t.same(new Set(accepted.map(({ id }) => id)), new Set(expected), 'all of them, and no others')
  const first = accepted.filter(({ id }, i) => accepted.findIndex(one => one.id === id) === i)
  const byRecord = Map.groupBy(first, ({ event }) => event.data.subject.id)
  for (const [id, messages] of byRecord) {
    const versions = messages.map(({ event }) => event.data.version)
    t.same(
      versions,
      versions.map((_, i) => i + 1),
      `contact ${id} in order`
    )
  }
}

t.test('a receiver that fails, hangs, closes and restarts gets everything in order', async t => {
  const { call } = await organization(app)
  const accepted: Received[] = []
  const hook = await receiver(t, (response, message) => {
    const chance = Math.random()
    if (chance < 0.65) {
      accepted.push(message)
      acknowledge(response, message)
    } else if (chance < 0.8) response.writeHead(500).end('broken')
    else if (chance < 0.9) response.destroy()
    else if (chance < 0.95) response.writeHead(302, { location: '/elsewhere' }).end()
    // or it hangs
  })
  sender(t, app, { time: 300 })
  const created = await call('POST /api/webhooks', { url: hook.url, types: 'contact.*' })
  const { id } = created.json()
  const writing = write(call, 20)
  await until(() => accepted.length > 20)
  await hook.stop()
  await writing
  await hook.start()
  const isDone = async () => {
    const { data } = (await call(`GET /api/webhooks/${id}/deliveries?status=pending`)).json()
    return data.length === 0
  }
  await until(async () => accepted.length > 160 && (await isDone()))
  await assertComplete(t, call, accepted)
  t.ok(hook.received.length > 200, `${hook.received.length} messages`)
  t.notOk(
    hook.received.some(({ path }) => path === '/elsewhere'),
    'redirects are not followed'
  )
})

t.test('after a 410 nothing is sent, until the webhook is made active again', async t => {
  const { call } = await organization(app)
  let isGone = false
  const hook = await receiver(t, (response, message) => {
    if (isGone) response.writeHead(410).end()
    else acknowledge(response, message)
  })
  sender(t, app)
  const { id } = (await call('POST /api/webhooks', { url: hook.url, types: 'contact.*' })).json()
  const contact = (await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })).json()
  await until(() => hook.received.length === 1)
  isGone = true
  for (let i = 0; i < 5; i++) await call(`PATCH /api/contacts/${contact.id}`, { last_name: `${i}` })
  const webhook = async () => (await call(`GET /api/webhooks/${id}`)).json()
  await until(async () => !(await webhook()).is_active)
  t.match(await webhook(), { paused_reason: 'gone', paused_at: /./ })
  await call(`PATCH /api/contacts/${contact.id}`, { last_name: 'later' })
  await sleep(500)
  t.equal(hook.received.length, 2, 'the one that was answered by 410 is the last one')
  const { data } = (await call('GET /api/audit?type=deliveries.paused')).json()
  t.match(data, [{ subject_type: 'webhook', subject_id: id, details: { reason: 'gone' } }])
  isGone = false
  t.match((await call(`PATCH /api/webhooks/${id}`, { is_active: true })).json(), {
    is_active: true,
    paused_at: null,
    paused_reason: null
  })
  await until(() => hook.received.length === 7)
  const failed = (await call(`GET /api/webhooks/${id}/deliveries?status=failed`)).json().data
  t.match(failed, [{ response_status: 410, attempts: 1 }])
  await call(`POST /api/deliveries/${failed[0].id}/retry`)
  await until(() => hook.received.length === 8)
  t.same(
    hook.received.map(({ event }) => event.data.version),
    [1, 2, 3, 4, 5, 6, 7, 2]
  )
  t.equal(
    (await call(`POST /api/deliveries/${failed[0].id}/retry`)).statusCode,
    409,
    'it succeeded'
  )
})

t.test('a slow receiver delays no other', async t => {
  const { call } = await organization(app)
  const slow = await receiver(t, () => {})
  const fast = await receiver(t)
  sender(t, app, { time: 60_000, lease: 70_000 })
  // another host: there are limits for each webhook, and for each host
  const elsewhere = slow.url.replace('127.0.0.1', '127.0.0.2')
  for (const url of [elsewhere, fast.url]) await call('POST /api/webhooks', { url, types: 'tag.*' })
  const times: number[] = []
  for (let i = 0; i < 30; i++) {
    const start = Date.now()
    await call('POST /api/tags', { name: `tag ${i}` })
    await until(() => fast.received.length === i + 1)
    times.push(Date.now() - start)
  }
  t.ok(Math.max(...times) < 2_000, `${Math.max(...times)} ms at most`)
  t.equal(slow.received.length, 10, 'requests to one webhook at a time')
})

t.test('25 requests are on their way to a host, by all processes together', async t => {
  const { call } = await organization(app)
  const hook = await receiver(t, () => {})
  for (let i = 0; i < 4; i++)
    await call('POST /api/webhooks', { url: `${hook.url}/${i}`, types: 'tag.*' })
  for (let i = 0; i < 15; i++) await call('POST /api/tags', { name: `tag ${i}` })
  const options = { time: 60_000, lease: 70_000, interval: 20 }
  for (let i = 0; i < 3; i++) sender(t, app, options)
  await until(() => hook.received.length >= 25)
  await sleep(500)
  t.equal(hook.received.length, 25)
})
