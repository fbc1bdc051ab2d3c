// What an author may not read is not sent, and what nobody may ask is not asked.
import t from 'tap'
import { organization, type Call } from '../../../support/app.ts'
import { acknowledge, receiver, sender, sending, until } from '../../../support/receiver.ts'

const app = await sending(t)
sender(t, app)

const manage = { resource: 'webhooks', actions: ['read', 'create', 'update'], reach: 'all' }
const own = { resource: 'contacts', actions: ['read', 'create', 'update'], reach: 'own' }

/** An author who may manage webhooks, and a part of the contacts. */
async function author(of: Awaited<ReturnType<typeof organization>>, grants: object[]) {
  const role = await of.call('POST /api/roles', { name: `r${Math.random()}`, grants })
  if (role.statusCode !== 201) throw new Error(role.body)
  return { ...(await of.user(role.json().name)), role: role.json() }
}

const create = async (call: Call, first_name: string, more: object = { phone: '555 0100' }) => {
  const answer = await call('POST /api/contacts', { first_name, last_name: 'X', ...more })
  if (answer.statusCode !== 201) throw new Error(answer.body)
}

t.test('only what the author may read is sent', async t => {
  const us = await organization(app)
  const narrow = await author(us, [manage, { ...own, hidden_fields: ['phone'] }])
  const hook = await receiver(t)
  const body = { url: hook.url, types: 'contact.*' }
  const webhook = (await narrow.call('POST /api/webhooks', body)).json()
  t.equal(webhook.author_id, narrow.user.id)
  await create(us.call, 'Theirs')
  await create(narrow.call, 'Own', {})
  await until(() => hook.received.length === 1)
  t.match(hook.received[0]!.event.data.after, { first_name: 'Own' })
  t.notMatch(hook.received[0]!.body, /555|phone/)
  t.equal((await narrow.call('POST /api/webhooks', { ...body, types: 'lead.*' })).statusCode, 403)

  // whoever changes it is its author from then on: nobody gets more by changing the URL of another
  await us.call(`PATCH /api/webhooks/${webhook.id}`, { description: 'ours' })
  await create(us.call, 'Shown')
  await until(() => hook.received.length === 2)
  t.match(hook.received[1]!.event.data.after, { first_name: 'Shown', phone: '555 0100' })
  await narrow.call(`PATCH /api/webhooks/${webhook.id}`, { url: `${hook.url}/2` })
  await create(us.call, 'Hidden')
  await create(narrow.call, 'Last', {})
  await until(() => hook.received.length === 3)
  t.match(hook.received[2]!.event.data.after, { first_name: 'Last' })

  const { data } = (await narrow.call(`GET /api/webhooks/${webhook.id}/deliveries`)).json()
  const shown = data.find(
    ({ subject_id }: { subject_id: number }) =>
      subject_id === hook.received[1]!.event.data.subject.id
  )
  const path = `GET /api/deliveries/${shown.id}`
  t.match((await narrow.call(path)).json(), { payload: null, response_body: null })
  t.match((await us.call(path)).json().payload, { data: { after: { first_name: 'Shown' } } })
  const other = await organization(app)
  t.equal((await other.call(path)).statusCode, 404)
  t.equal((await (await us.user('viewer')).call(path)).statusCode, 403)
})

t.test('a webhook whose author may no longer have it is paused', async t => {
  const us = await organization(app)
  const webhook = async (id: number) => (await us.call(`GET /api/webhooks/${id}`)).json()
  const lost: Record<string, (one: Awaited<ReturnType<typeof author>>) => Promise<unknown>> = {
    disabled: async ({ user }) =>
      await us.call(`PATCH /api/users/${user.id}`, { status: 'disabled' }),
    'without webhooks': async ({ role }) =>
      await us.call(`PATCH /api/roles/${role.id}`, { grants: [{ ...own, reach: 'all' }] }),
    'without contacts': async ({ role }) =>
      await us.call(`PATCH /api/roles/${role.id}`, { grants: [manage] })
  }
  for (const [what, lose] of Object.entries(lost)) {
    const one = await author(us, [manage, { ...own, reach: 'all' }])
    const hook = await receiver(t)
    const body = { url: hook.url, types: 'contact.*' }
    const { id } = (await one.call('POST /api/webhooks', body)).json()
    await lose(one)
    await create(us.call, what)
    await until(async () => !(await webhook(id)).is_active)
    t.match(await webhook(id), { paused_reason: 'author' }, what)
    t.equal(hook.received.length, 0, what)
    await us.call(`PATCH /api/webhooks/${id}`, { is_active: true })
    await until(() => hook.received.length === 1)
    t.match(hook.received[0]!.event.data.after, { first_name: what }, 'an admin takes it over')
  }
  const { data } = (await us.call('GET /api/audit?type=deliveries.paused')).json()
  t.equal(data.length, 3)
})

t.test('what waits is not sent to the URL of an author who may not read it', async t => {
  const retrying = await sending(t)
  sender(t, retrying, { delays: Array.from({ length: 100 }, () => 500) })
  const us = await organization(retrying)
  const narrow = await author(us, [manage, own])
  const hook = await receiver(t, response => void response.writeHead(500).end())
  const body = { url: hook.url, types: 'contact.*' }
  const { id } = (await us.call('POST /api/webhooks', body)).json()
  await create(us.call, 'Theirs')
  await until(() => hook.received.length === 1)
  await narrow.call(`PATCH /api/webhooks/${id}`, { url: `${hook.url}/narrow` })
  await until(async () => {
    const { data } = (await us.call(`GET /api/webhooks/${id}/deliveries`)).json()
    return data[0].status === 'cancelled'
  })
  t.notOk(hook.received.some(({ path }) => path.endsWith('/narrow')))
})

t.test('a retry sends what the author may read then, and nothing else', async t => {
  const slow = await sending(t)
  sender(t, slow, { freshness: 0, delays: Array.from({ length: 100 }, () => 200) })
  const us = await organization(slow)
  const one = await author(us, [manage, { ...own, reach: 'all' }])
  const hook = await receiver(t, response => void response.writeHead(500).end())
  const body = { url: hook.url, types: 'contact.*' }
  const { id } = (await one.call('POST /api/webhooks', body)).json()
  await create(us.call, 'Theirs')
  await create(one.call, 'Own')
  await until(() => hook.received.length >= 4)
  t.match(hook.received.at(-1)!.body, /555 0100/)
  const grants = [manage, { ...own, hidden_fields: ['phone'] }]
  await us.call(`PATCH /api/roles/${one.role.id}`, { grants })
  const deliveries = async () => (await us.call(`GET /api/webhooks/${id}/deliveries`)).json().data
  await until(async () => (await deliveries())[1].status === 'cancelled')
  hook.answer = acknowledge
  await until(async () => (await deliveries())[0].status === 'succeeded')
  t.match(hook.received.at(-1)!.event.data.after, { first_name: 'Own' })
  t.notMatch(hook.received.at(-1)!.body, /555|phone/)
  t.match((await deliveries())[1], { error: /may not read/, ended_at: /./ })
  const { payload } = (await us.call(`GET /api/deliveries/${(await deliveries())[0].id}`)).json()
  t.same(payload, hook.received.at(-1)!.event, 'what was sent last')
})

t.test('no packet goes to a private network', async t => {
  const strict = await sending(t, { outbound_networks: [] })
  sender(t, strict)
  const { call } = await organization(strict)
  const hook = await receiver(t)
  for (const host of [
    '127.1',
    '2130706433',
    '0x7f.1',
    '0177.0.0.1',
    '[::1]',
    '[::ffff:10.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[fd00::1]',
    '169.254.169.254',
    '0'
  ]) {
    const url = `https://${host}:${hook.port}/`
    t.equal((await call('POST /api/webhooks', { url })).statusCode, 422, host)
  }
  // a name that is looked up when it is connected to
  const url = `https://localhost:${hook.port}/`
  const { id } = (await call('POST /api/webhooks', { url, types: 'tag.*' })).json()
  const tested = await call(`POST /api/webhooks/${id}/test`)
  const delivery = async () => (await call(`GET ${tested.headers.location}`)).json()
  await until(async () => (await delivery()).status === 'failed')
  t.match(await delivery(), { error: /OUTBOUND_NETWORKS/, response_status: null })
  t.equal(hook.connections, 0)
})
