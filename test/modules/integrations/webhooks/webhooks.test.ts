// What webhooks send, and how it is signed.
import { Webhook } from 'standardwebhooks'
import t from 'tap'
import { organization, ownerOf } from '../../../support/app.ts'
import { receiver, sender, sending, until } from '../../../support/receiver.ts'

const app = await sending(t)
sender(t, app)

t.test('an event is sent with a signature that the library verifies', async t => {
  const { call } = await organization(app)
  const { url, received } = await receiver(t)
  await call('POST /api/contacts', { first_name: 'Before', last_name: 'It' })
  const created = await call('POST /api/webhooks', { url, types: 'contact.*' })
  t.equal(created.statusCode, 201, created.body)
  const { id, secret, author_id } = created.json()
  t.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
  const contact = (
    await call('POST /api/contacts', { first_name: 'Ada', last_name: 'Byron' })
  ).json()
  await until(() => received.length > 0)
  const [{ headers, body, event }] = received as [(typeof received)[0]]
  t.match(new Webhook(secret).verify(body, headers as Record<string, string>), {
    type: 'contact.created',
    timestamp: contact.created_at,
    data: {
      type: 'contact.created',
      subject: { type: 'contact', id: contact.id, name: 'Ada Byron' },
      version: 1,
      before: null,
      after: contact,
      actor: { id: author_id }
    }
  })
  t.equal(headers['webhook-id'], `evt_${event.data.id}`)
  t.throws(() => new Webhook(secret).verify(`${body} `, headers as Record<string, string>))
  const shown = (await call(`GET /api/webhooks/${id}`)).json()
  t.match(shown, { is_active: true, failures: 0, version: 1 })
  t.equal(shown.cursor, event.data.cursor)
  for (const path of ['', `/${id}`, `/${id}/history`, `/${id}/deliveries`])
    t.notMatch((await call(`GET /api/webhooks${path}`)).body, /whsec_|secret":/)
  t.notMatch(JSON.stringify(await ownerOf(app)`select * from events`), /whsec_|_secret/)
  t.equal(received.length, 1, 'what was before is not sent')
  const { data } = (await call(`GET /api/webhooks/${id}/deliveries`)).json()
  t.match(data, [{ status: 'succeeded', attempts: 1, response_status: 204, message_id: /^evt_/ }])
  const delivery = (await call(`GET /api/deliveries/${data[0].id}`)).json()
  t.same(delivery.payload, event)
})

t.test('types, filter, fields and format decide what is sent', async t => {
  const { call } = await organization(app)
  const [won, thin] = [await receiver(t), await receiver(t)]
  const filter = 'last_name=Won'
  const filtered = { types: 'contact.*', filter, filter_on: 'enter', fields: ['last_name', 'id'] }
  t.equal((await call('POST /api/webhooks', { url: won.url, ...filtered })).statusCode, 201)
  await call('POST /api/webhooks', { url: thin.url, types: 'contact.updated', format: 'thin' })
  const one = (await call('POST /api/contacts', { first_name: 'A', last_name: 'New' })).json()
  await call(`PATCH /api/contacts/${one.id}`, { last_name: 'Won' })
  await call(`PATCH /api/contacts/${one.id}`, { first_name: 'B' })
  await call(`PATCH /api/contacts/${one.id}`, { last_name: 'Lost' })
  await until(() => thin.received.length === 3 && won.received.length === 1)
  t.match(won.received[0]!.event.data, {
    version: 2,
    before: { id: one.id, last_name: 'New' },
    after: { id: one.id, last_name: 'Won' }
  })
  t.same(Object.keys(won.received[0]!.event.data.after!), ['last_name', 'id'])
  for (const [i, { event }] of thin.received.entries()) {
    t.match(event, { type: 'contact.updated', data: { version: i + 2 } })
    t.same(event.data.subject, { type: 'contact', id: one.id })
    t.notOk('before' in event.data || 'after' in event.data)
  }
})

t.test('what cannot be sent is refused', async t => {
  const { call } = await organization(app)
  const url = 'https://hooks.example.com/crm'
  for (const [body, pointer] of [
    [{ url: 'http://8.8.8.8/x' }, '/url'],
    [{ url: 'https://10.0.0.1/x' }, '/url'],
    [{ url: 'https://167772161:8080/' }, '/url'],
    [{ url: 'https://[fd00::1]/' }, '/url'],
    [{ url, types: 'unicorn.*' }, '/types'],
    [{ url, filter: 'last_name=X' }, '/filter'],
    [{ url, types: 'contact.*', filter: 'horn=long' }, '/filter'],
    [{ url, types: 'contact.*', fields: ['last_name', 'horn'] }, '/fields/1']
  ] as const)
    t.match((await call('POST /api/webhooks', body)).json(), { status: 422, errors: [{ pointer }] })
  for (const url of ['https://user:secret@example.com/', 'ftp://example.com', 'https://'])
    t.match((await call('POST /api/webhooks', { url })).statusCode, 400)
})

t.test('a rotation signs with both secrets for a day', async t => {
  const { call } = await organization(app)
  const { url, received } = await receiver(t)
  const { id, secret } = (await call('POST /api/webhooks', { url, types: 'tag.*' })).json()
  const rotated = (await call(`POST /api/webhooks/${id}/rotation`)).json()
  t.not(rotated.secret, secret)
  t.ok(Date.parse(rotated.previous_until) > Date.now() + 23 * 3_600_000)
  await call('POST /api/tags', { name: 'one' })
  await until(() => received.length === 1)
  const verify = (key: string) => {
    const { body, headers } = received.at(-1)!
    return new Webhook(key).verify(body, headers as Record<string, string>)
  }
  t.equal(String(received[0]!.headers['webhook-signature']).split(' ').length, 2)
  for (const key of [secret, rotated.secret]) t.ok(verify(key))
  await ownerOf(app)`update webhooks set previous_until = now() where id = ${id}`
  await call('POST /api/tags', { name: 'two' })
  await until(() => received.length === 2)
  t.ok(verify(rotated.secret))
  t.throws(() => verify(secret))
})

t.test('a test is sent once', async t => {
  const { call } = await organization(app)
  const hook = await receiver(t, response => void response.writeHead(500).end('x\0'.repeat(5000)))
  const { id } = (await call('POST /api/webhooks', { url: hook.url, types: 'tag.*' })).json()
  const tested = await call(`POST /api/webhooks/${id}/test`)
  t.equal(tested.statusCode, 202)
  const delivery = async () => (await call(`GET ${tested.headers.location}`)).json()
  await until(async () => (await delivery()).status !== 'pending')
  t.match(await delivery(), { status: 'failed', response_status: 500, attempts: 1 })
  t.equal((await delivery()).response_body.length, 4096)
  t.match(hook.received, [
    { event: { type: 'webhook.tested' }, id: `test_${(await delivery()).id}` }
  ])
  t.match((await call(`GET /api/webhooks/${id}`)).json(), { failures: 0 })
  await call(`PATCH /api/webhooks/${id}`, { is_active: false })
  t.equal((await call(`POST /api/webhooks/${id}/test`)).statusCode, 409)
})

t.test('a secret that cannot be read is replaced by a rotation', async t => {
  const { call } = await organization(app)
  const { url, received } = await receiver(t)
  const { id } = (await call('POST /api/webhooks', { url, types: 'tag.*' })).json()
  await ownerOf(app)`update webhooks set encrypted_secret = ${'A'.repeat(80)} where id = ${id}`
  const test = async () => {
    const { headers } = await call(`POST /api/webhooks/${id}/test`)
    const delivery = async () => (await call(`GET ${headers.location}`)).json()
    await until(async () => (await delivery()).status !== 'pending')
    return await delivery()
  }
  t.match(await test(), { status: 'failed', error: /JWT_SECRET/ })
  const { secret } = (await call(`POST /api/webhooks/${id}/rotation`)).json()
  t.match(await test(), { status: 'succeeded' })
  const [{ body, headers }] = received as [(typeof received)[0]]
  t.ok(new Webhook(secret).verify(body, headers as Record<string, string>))
})
