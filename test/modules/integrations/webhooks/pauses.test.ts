// When a webhook is paused, and how what it missed is sent again.
import t from 'tap'
import { organization, work } from '../../../support/app.ts'
import { mailbox } from '../../../support/mailbox.ts'
import { acknowledge, receiver, sender, sending, until } from '../../../support/receiver.ts'

t.test('20 failures in a row for long enough pause a webhook, and the admins know', async t => {
  const box = await mailbox(t)
  const app = await sending(t, { mail: box.settings })
  sender(t, app, { patience: 1_000, delays: Array.from({ length: 9 }, () => 20) })
  const { call, admin, user } = await organization(app)
  await user('user')
  const hook = await receiver(t, response => void response.writeHead(503).end())
  const { id } = (await call('POST /api/webhooks', { url: hook.url, types: 'tag.*' })).json()
  const webhook = async () => (await call(`GET /api/webhooks/${id}`)).json()
  await call('POST /api/tags', { name: 'first' })
  await until(async () => (await webhook()).failures === 10)
  t.match(await webhook(), { is_active: true, failing_since: /./ })
  t.match((await call(`GET /api/webhooks/${id}/deliveries?status=failed`)).json().data, [
    { attempts: 10, response_status: 503, error: null, next_attempt_at: null }
  ])
  for (let i = 0; (await webhook()).is_active; i++) await call('POST /api/tags', { name: `${i}` })
  const paused = await webhook()
  t.match(paused, { paused_reason: 'failing', version: 2 })
  t.ok(paused.failures >= 20, `${paused.failures} failures`)
  t.ok(Date.parse(paused.paused_at) - Date.parse(paused.failing_since) >= 1_000)
  await work(app)
  const mail = box.take()
  t.match(mail.to, [`${admin.user.username}@example.com`])
  t.match(mail.text, new RegExp(`${hook.url}[^]*failed[^]*PATCH /api/webhooks/${id}`))
  t.match((await call('GET /api/audit?type=deliveries.paused')).json().data, [
    { subject_id: id, actor_id: null, details: { reason: 'failing', url: hook.url } }
  ])
  hook.answer = acknowledge
  await call(`PATCH /api/webhooks/${id}`, { is_active: true })
  await until(async () => {
    const { data } = (await call(`GET /api/webhooks/${id}/deliveries?status=pending`)).json()
    return data.length === 0
  })
  t.match(await webhook(), { failures: 0, failing_since: null, paused_at: null })
})

t.test('events are sent again between two cursors or times', async t => {
  const app = await sending(t)
  sender(t, app)
  const { call } = await organization(app)
  const hook = await receiver(t)
  const { id } = (await call('POST /api/webhooks', { url: hook.url, types: 'tag.*' })).json()
  const replay = async (body: object) => {
    const answer = await call(`POST /api/webhooks/${id}/replay`, body)
    if (answer.statusCode !== 202) return answer
    await work(app)
    t.match((await call(`GET ${answer.headers.location}`)).json(), { state: 'completed' })
    return answer
  }
  for (let i = 0; i < 5; i++) {
    await call('POST /api/tags', { name: `tag ${i}` })
    await call('POST /api/contacts', { first_name: 'Not', last_name: 'Sent' })
  }
  await until(() => hook.received.length === 5)
  // messages about several records come in any order
  const sent = hook.received.toSorted((a, b) => a.event.data.id - b.event.data.id)
  t.ok(sent.every(({ headers }) => headers['webhook-replay'] === undefined))
  const again = async (body: object, expected: typeof sent) => {
    hook.received.length = 0
    await replay(body)
    await until(() => hook.received.length >= expected.length)
    t.same(hook.received.map(({ id }) => id).toSorted(), expected.map(({ id }) => id).toSorted())
    t.ok(hook.received.every(({ headers }) => headers['webhook-replay'] === 'true'))
    t.same(
      hook.received.map(({ event }) => event).toSorted((a, b) => a.data.id - b.data.id),
      expected.map(({ event }) => event)
    )
  }
  const { data } = sent[1]!.event
  await again({ after: data.cursor, until: sent[3]!.event.data.cursor }, sent.slice(2, 4))
  await again({ after: '0-' }, sent)
  const [from, to] = [sent[1]!.event.timestamp, sent[3]!.event.timestamp]
  await again({ from, to }, sent.slice(1, 3))
  await again({ from }, sent.slice(1))
  for (const body of [{ until: data.cursor }, { after: '0-', from }, { from, until: data.cursor }])
    t.equal((await replay(body)).statusCode, 422)
  const { data: all } = (await call(`GET /api/webhooks/${id}/deliveries`)).json()
  t.equal(all.filter(({ is_replay }: { is_replay: boolean }) => is_replay).length, 2 + 5 + 2 + 4)
})

t.test('what waits for a webhook that is deleted is canceled', async t => {
  const app = await sending(t)
  sender(t, app, { delays: [60_000] })
  const { call } = await organization(app)
  const hook = await receiver(t, response => void response.writeHead(500).end())
  const { id } = (await call('POST /api/webhooks', { url: hook.url, types: 'tag.*' })).json()
  await call('POST /api/tags', { name: 'one' })
  await until(() => hook.received.length === 1)
  const deliveries = async () => (await call(`GET /api/webhooks/${id}/deliveries`)).json().data
  await until(async () => (await deliveries())[0].attempts === 1)
  await call(`DELETE /api/webhooks/${id}`)
  await work(app)
  t.equal((await call(`POST /api/webhooks/${id}/test`)).statusCode, 404)
  await call(`POST /api/webhooks/${id}/restore`)
  t.match(await deliveries(), [{ status: 'cancelled', next_attempt_at: null }])
})
