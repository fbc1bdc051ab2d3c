import t from 'tap'
import type { Entry } from '../../../../src/modules/integrations/events/service.ts'
import { application, organization, ownerOf, type Call } from '../../../support/app.ts'
import { everything, hiding, userWith } from '../../../support/field-rights.ts'

const app = await application(t)

interface Page {
  data: Entry[]
  has_more: boolean
  next_cursor: string
}
const read = async (call: Call, query = '') => {
  const answer = await call(`GET /api/events?${query}`)
  if (answer.statusCode !== 200) throw new Error(answer.body)
  return answer.json<Page>()
}
const latest = async (call: Call) => (await read(call, 'after=latest')).next_cursor
const typesOf = ({ data }: Page) => data.map(({ type }) => type)
const contact = (last_name: string, more = {}) => ({ first_name: 'Jo', last_name, ...more })

t.test(
  'a change is in the feed as soon as it was acknowledged, with all there is to say',
  async t => {
    const { call, admin } = await organization(app)
    const start = await latest(call)
    const { id } = (await call('POST /api/contacts', contact('Doe'))).json<{ id: number }>()
    const renamed = await call(`PATCH /api/contacts/${id}`, { last_name: 'Roe' })
    await call(`DELETE /api/contacts/${id}`)
    await call(`POST /api/contacts/${id}/restore`)
    const page = await read(call, `after=${start}`)
    t.same(typesOf(page), [
      'contact.created',
      'contact.updated',
      'contact.deleted',
      'contact.restored'
    ])
    t.match(page.data[1], {
      subject: { type: 'contact', id, name: 'Jo Roe' },
      version: 2,
      changed: ['last_name'],
      before: { last_name: 'Doe', version: 1 },
      after: { last_name: 'Roe', version: 2, updated_at: /Z$/ },
      actor: { id: admin.user.id, name: admin.user.username },
      credential: { type: 'session' },
      request_id: renamed.headers['x-request-id']
    })
    t.equal(page.next_cursor, page.data.at(-1)!.cursor)
    t.equal(page.has_more, false)
  }
)

t.test('every entry has the cursor before it, over the ends of pages too', async t => {
  const { call } = await organization(app)
  let cursor = await latest(call)
  for (let i = 0; i < 7; i++) await call('POST /api/contacts', contact(`N${i}`))
  const seen: string[] = []
  let page: Page
  do {
    page = await read(call, `after=${cursor}&limit=3`)
    for (const entry of page.data) {
      t.equal(entry.previous, cursor)
      cursor = entry.cursor
      seen.push(entry.subject.name!)
    }
    t.equal(page.next_cursor, cursor)
  } while (page.has_more)
  t.same(seen, ['Jo N0', 'Jo N1', 'Jo N2', 'Jo N3', 'Jo N4', 'Jo N5', 'Jo N6'])
  const whole = await read(call)
  t.equal(whole.data[0]!.previous, '0-')
})

t.test('types choose events, and unknown ones are refused', async t => {
  const { call } = await organization(app)
  const start = await latest(call)
  const { id } = (await call('POST /api/contacts', contact('Doe'))).json<{ id: number }>()
  await call('POST /api/accounts', { name: 'Acme' })
  await call(`PATCH /api/contacts/${id}`, { last_name: 'Roe' })
  const of = async (types: string) => typesOf(await read(call, `after=${start}&types=${types}`))
  t.same(await of('contact.*'), ['contact.created', 'contact.updated'])
  t.same(await of('contact.updated,account.*'), ['account.created', 'contact.updated'])
  t.same(await of('lead.*'), [])
  for (const types of ['contract.*', 'contact.renamed', 'contact'])
    t.equal((await call(`GET /api/events?types=${types}`)).statusCode, 400, types)
})

t.test('a filter tells when records begin and cease to match it', async t => {
  const { call } = await organization(app)
  const start = await latest(call)
  const { id } = (await call('POST /api/contacts', contact('Doe'))).json<{ id: number }>()
  for (const company of ['Acme', 'acme', 'Other', 'Acme'])
    await call(`PATCH /api/contacts/${id}`, { company })
  await call(`DELETE /api/contacts/${id}`)
  const of = async (on: string) => {
    const query = `after=${start}&types=contact.*&filter=company%3DAcme&filter_on=${on}`
    return (await read(call, query)).data.map(({ version }) => version)
  }
  t.same(await of('enter'), [2, 5])
  t.same(await of('leave'), [3, 6])
  t.same(await of('change'), [2, 3, 5, 6])
  for (const query of [
    'filter=company%3DAcme',
    'types=contact.*,lead.*&filter=company%3DAcme',
    'types=contact.*&filter=nothing%3D1',
    'types=contact.*&filter=contact.email%3Dx'
  ])
    t.equal((await call(`GET /api/events?${query}`)).statusCode, 400, query)
})

t.test('a cursor that is not of this feed is refused with the way out', async t => {
  const [{ call, id }, other] = [await organization(app), await organization(app)]
  await call('POST /api/contacts', contact('Doe'))
  const cursor = await latest(call)
  t.match((await other.call(`GET /api/events?after=${cursor}`)).json(), {
    status: 410,
    code: 'cursor_expired'
  })
  t.equal((await call(`GET /api/events/stream?after=1-000000000000`)).statusCode, 410)
  t.equal((await call('GET /api/events?after=7')).statusCode, 400)
  // as after a restore to a time before the last event, when others came since
  await ownerOf(app)`delete from event_chain where organization_id = ${id}
    and position = (select max(position) from event_chain where organization_id = ${id})`
  t.equal((await call(`GET /api/events?after=${cursor}`)).statusCode, 410)
})

t.test('callers get events of records that they may read now, without hidden fields', async t => {
  const one = await organization(app)
  const start = await latest(one.call)
  const rights = { actions: everything, reach: 'own' }
  const own = await userWith(one, [{ resource: 'contacts', ...rights }])
  const blind = await userWith(one, [hiding('contacts', 'email', 'phone')])
  const fields = { email: 'jo@example.com', phone: '+1 555 0100' }
  const { id } = (await one.call('POST /api/contacts', contact('Doe', fields))).json()
  await one.call(`PATCH /api/contacts/${id}`, { email: 'roe@example.com' })
  await own.call('POST /api/contacts', contact('Mine'))
  await one.call('POST /api/accounts', { name: 'Acme' })
  const namesFor = async (call: Call, query = '') =>
    (await read(call, `after=${start}${query}`)).data
      .filter(({ type }) => /^(contact|account)[.]created/.test(type))
      .map(({ subject }) => subject.name)
  t.same(await namesFor(one.call), ['Jo Doe', 'Jo Mine', 'Acme'])
  t.same(await namesFor(own.call), ['Jo Mine'])
  t.same(await namesFor(blind.call), ['Jo Doe', 'Jo Mine'])
  const seen = await read(blind.call, `after=${start}&types=contact.*`)
  t.notMatch(JSON.stringify(seen), /@example[.]com|555/)
  t.same(seen.data[1]!.changed, [])
  t.equal((await blind.call('GET /api/events?types=account.*')).statusCode, 403)
  const hidden = '/api/events?types=contact.*&filter=email%3Djo@example.com'
  t.equal((await blind.call(`GET ${hidden}`)).statusCode, 400)
  await one.call(`PATCH /api/contacts/${id}`, { assigned_to: own.user.id })
  t.same(await namesFor(own.call), ['Jo Doe', 'Jo Mine'], 'what is theirs now')
})

t.test('shares and conversions of records of others are no events', async t => {
  const one = await organization(app)
  const start = await latest(one.call)
  const partner = await one.user('partner')
  const { id: contact_id } = (await one.call('POST /api/contacts', contact('Doe'))).json()
  const share = { user_id: one.admin.user.id, access: 'read' }
  t.equal((await one.call(`POST /api/contacts/${contact_id}/shares`, share)).statusCode, 201)
  const { id } = (await one.call('POST /api/leads', { contact_id })).json()
  await one.call(`POST /api/leads/${id}/qualification`, { outcome: 'qualified' })
  t.equal((await one.call(`POST /api/leads/${id}/conversion`, {})).statusCode, 201)
  t.same(typesOf(await read(partner.call, `after=${start}`)), [])
  t.equal((await partner.call('GET /api/events?types=share.*')).statusCode, 400)
  const known = (await partner.call('GET /api/event-types')).json<{ data: { subject: string }[] }>()
  t.notOk(known.data.some(({ subject }) => ['share', 'conversion'].includes(subject)))
})

t.test('where a page ends tells nothing of records out of reach', async t => {
  const one = await organization(app)
  const own = await userWith(one, [{ resource: 'contacts', actions: everything, reach: 'own' }])
  await one.call('POST /api/contacts', contact('Doe'))
  const query = 'types=contact.*&limit=1&filter=last_name%3D'
  const [match, none] = [await read(own.call, `${query}Doe`), await read(own.call, `${query}Dough`)]
  t.same(match, none)
})

t.test('accesses are no events, and the purge of a record is one', async t => {
  const { call, id } = await organization(app)
  await call('POST /api/contacts', contact('Doe'))
  const cursor = await latest(call)
  await call('GET /api/contacts', undefined, { accept: 'text/csv' })
  t.same((await read(call, `after=${cursor}`)).data, [])
  await ownerOf(app)`delete from contacts where organization_id = ${id}`
  const [purged] = (await read(call, `after=${cursor}`)).data
  t.match(purged, { type: 'contact.purged', subject: { name: 'Jo Doe' }, after: null, actor: null })
})
