// What an integration read, wrote and failed at.
import t from 'tap'
import { bearer, caller, organization, ownerOf, type Call } from '../../../support/app.ts'
import { acknowledge, receiver, sender, sending, until } from '../../../support/receiver.ts'

const app = await sending(t)
sender(t, app)

interface Entry {
  at: string
  kind: string
  type: string
  status: string
  subject: { type: string; id: number }
  detail: string | null
  event_id: number | null
  delivery_id: number | null
}

const create = async (call: Call, path: string, body: object) => {
  const answer = await call(`POST /api/${path}`, body)
  if (answer.statusCode !== 201) throw new Error(answer.body)
  return answer.json()
}

/** An integration that wrote, exported and was refused, and was sent what failed and what not. */
async function busy() {
  const us = await organization(app)
  const { call } = us
  const scopes = ['contacts:read', 'contacts:create', 'contacts:update', 'contacts:export']
  const settings = { name: 'ERP', scopes, risk: 'write' }
  const { id: api_token_id, token } = await create(call, 'api-tokens', settings)
  const [good, bad] = [await receiver(t), await receiver(t)]
  bad.answer = response => void response.writeHead(500).end('private answer')
  const hooks: { id: number }[] = []
  for (const { url } of [good, bad])
    hooks.push(await create(call, 'webhooks', { url, types: 'contact.*' }))
  const webhook_ids = hooks.map(({ id }) => id)
  const body = { name: 'ERP', kind: 'erp', api_token_id, webhook_ids }
  const { id } = await create(call, 'integrations', body)

  const asToken = caller(app, bearer(token))
  const contact = await create(asToken, 'contacts', { first_name: 'Ada', last_name: 'Private' })
  await asToken(`PATCH /api/contacts/${contact.id}`, { last_name: 'Secret' })
  await asToken('GET /api/contacts', undefined, { accept: 'text/csv' })
  t.equal((await asToken(`DELETE /api/contacts/${contact.id}`)).statusCode, 403)
  await create(call, 'tags', { name: 'by someone else' })
  const path = `/api/integrations/${id}/log`
  const log = async (query = ''): Promise<Entry[]> =>
    (await call(`GET ${path}?${query}`)).json().data
  await until(async () => (await log('kind=delivery&status=ok')).length === 2)
  await until(async () => (await log('kind=delivery&status=failed')).length > 0)
  return { ...us, id, contact, path, log, webhook_ids, bad }
}

t.test('the log has writes, exports, refusals and deliveries, newest first', async t => {
  const { call, contact, log, webhook_ids, bad, admin, path } = await busy()
  const subject = { type: 'contact', id: contact.id }
  const events = await log('kind=write,access')
  t.match(events, [
    {
      kind: 'access',
      type: 'permission.denied',
      status: 'failed',
      subject: { type: 'user', id: admin.user.id },
      detail: /DELETE \/api\/contacts\/:id/,
      delivery_id: null
    },
    { kind: 'access', type: 'export.started', status: 'ok', detail: /^contacts text\/csv/ },
    { kind: 'write', type: 'contact.updated', status: 'ok', subject, detail: null },
    { kind: 'write', type: 'contact.created', status: 'ok', subject, at: contact.created_at }
  ])
  t.equal(events.length, 4)
  const kinds = async (query: string) => (await log(query)).map(({ type }) => type)
  t.same(await kinds('kind=write'), ['contact.updated', 'contact.created'])
  t.same(await kinds('kind=access&status=ok'), ['export.started'])
  t.same(await kinds('kind=access,write&status=ok'), [
    'export.started',
    'contact.updated',
    'contact.created'
  ])
  t.same(await kinds('kind=write,access&status=failed'), ['permission.denied'])
  t.same(await kinds('kind=write&status=failed'), [])

  const sent = await log('kind=delivery&status=ok')
  t.match(sent, [
    { type: 'contact.updated', subject, status: 'ok', detail: 'status 204', event_id: Number },
    { type: 'contact.created', subject, status: 'ok', detail: 'status 204' }
  ])
  const [failed] = (await log('kind=delivery&status=failed')) as [Entry]
  t.match(failed, { type: 'contact.created', status: 'failed', detail: /^status 500/ })
  t.match((await call(`GET /api/deliveries/${failed.delivery_id}`)).json(), {
    webhook_id: webhook_ids[1],
    event_id: events.at(-1)!.event_id
  })
  t.notMatch((await call(`GET ${path}`)).body, /private|secret|ada/i, 'it has no values')
  bad.answer = acknowledge
  await until(async () => (await log('kind=delivery&status=ok')).length === 4)
  t.same(await log('kind=delivery&status=failed'), [], 'it succeeded in the end')
  t.ok((await log()).every(({ at }, i, all) => i === 0 || at <= all[i - 1]!.at))
})

t.test('what has not been tried yet is not in it, and what failed for good is', async t => {
  const { call } = await organization(app)
  const { url } = await receiver(t)
  const hook = await create(call, 'webhooks', { url, types: 'tag.*' })
  const body = { name: 'Shop', kind: 'shop', webhook_ids: [hook.id] }
  const { id } = await create(call, 'integrations', body)
  await ownerOf(app)`insert into deliveries (organization_id, webhook_id, event_id, type,
      subject_type, subject_id, status, payload, attempts, error)
    select organization_id, ${hook.id}, n, 'tag.created', 'tag', n,
      case n when 1 then 'failed' when 2 then 'cancelled' else 'pending' end, '{}', n % 2,
      case n when 1 then 'connection refused' end
    from integrations, generate_series(1, 4) n where id = ${id}`
  const { data } = (await call(`GET /api/integrations/${id}/log`)).json()
  t.match(
    data.map(({ subject, status, detail }: Entry) => [subject.id, status, detail]),
    [
      [3, 'failed', 'no response'],
      [1, 'failed', 'connection refused']
    ]
  )
  t.equal(data.length, 2)
})

t.test('pages of any size add up to the log, also while it grows', async t => {
  const { call, contact, path, log, bad } = await busy()
  bad.answer = acknowledge
  await until(async () => (await log('kind=delivery&status=ok')).length === 4)
  const whole = await log()
  t.equal(whole.length, 8)
  for (const limit of [1, 2, 3, 7]) {
    const found: Entry[] = []
    let cursor = ''
    for (let page; !page || page.has_more; cursor = `&cursor=${page.next_cursor}`) {
      const answer = await call(`GET ${path}?limit=${limit}${cursor}`)
      page = answer.json()
      t.equal(Boolean(answer.headers.link), page.has_more)
      found.push(...page.data)
      await call(`PATCH /api/contacts/${contact.id}`, { position: `${limit} ${found.length}` })
    }
    t.same(found.slice(-8), whole, `${limit} at a time`)
    t.equal(new Set(found.map(one => `${one.delivery_id} ${one.event_id}`)).size, found.length)
  }
  const first = (await call(`GET ${path}?limit=1`)).json()
  const other = `GET ${path}?limit=1&status=ok&cursor=${first.next_cursor}`
  t.equal((await call(other)).statusCode, 400, 'a cursor is of one list')
  t.equal((await call(`GET ${path}?kind=rumor`)).statusCode, 400)
})

t.test('its parts have the rights of the audit log and of webhooks', async t => {
  const { call, user, path } = await busy()
  const other = await organization(app)
  t.equal((await other.call(`GET ${path}`)).statusCode, 404)
  t.equal((await (await user('user')).call(`GET ${path}`)).statusCode, 403)
  for (const [more, expected] of [
    [[], []],
    [['audit'], ['access', 'write']],
    [['webhooks'], ['delivery']]
  ] as const) {
    const grants = ['integrations', ...more].map(resource => ({
      resource,
      actions: ['read'],
      reach: 'all'
    }))
    const role = await create(call, 'roles', { name: `with-${more.join()}`, grants })
    const answer = await (await user(role.name)).call(`GET ${path}`)
    t.equal(answer.statusCode, 200)
    const kinds = new Set((answer.json().data as Entry[]).map(({ kind }) => kind))
    t.same([...kinds].toSorted(), expected, `with ${more.join()}`)
  }
})
