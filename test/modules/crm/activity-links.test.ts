// The names of the records that activities are linked to.
import t from 'tap'
import { Context } from '../../../src/core/access/context.ts'
import type { Grant } from '../../../src/core/access/permissions.ts'
import { loadRelated, relationsOf } from '../../../src/core/records/include.ts'
import { activityResource } from '../../../src/modules/crm/activities/resource.ts'
import { application, organization, withGrants } from '../../support/app.ts'
import { plansOf } from '../../support/plans.ts'

const app = await application(t)
const { call, id: organization_id } = await organization(app)
const create = async (path: string, body: object): Promise<number> =>
  (await call(`POST /api/${path}`, body)).json().id

const contact = await create('contacts', { first_name: 'Zoë', last_name: 'Quill' })
const account = await create('accounts', { name: 'Zenith Widgets' })
const lead = await create('leads', { contact_id: contact, source: 'website' })
const opportunity = await create('opportunities', { title: 'Licenses' })
const links = [
  { type: 'opportunity', id: opportunity },
  { type: 'contact', id: contact },
  { type: 'lead', id: lead },
  { type: 'account', id: account }
]
const names = ['Licenses', 'Zoë Quill', 'Zoë Quill, website', 'Zenith Widgets']
const named = links.map((link, i) => ({ ...link, name: names[i], deleted_at: null }))
const activity = { type: 'call', subject: 'Talk', links }

t.test('a list, a read and a write name the linked records, in the order of links', async t => {
  const created = await call('POST /api/activities?include=links', activity)
  t.same(created.json().included, { links: named })
  const { id } = created.json()
  t.same((await call(`GET /api/activities/${id}?include=links`)).json().included.links, named)
  const query = `id=${id}&include=links&fields=subject`
  t.same(
    (await call(`GET /api/activities?${query}`)).json().data,
    [{ subject: 'Talk', included: { links: named } }],
    'also without the field itself'
  )
  const lines = await call(`GET /api/activities?${query}`, undefined, {
    accept: 'application/x-ndjson'
  })
  t.same(JSON.parse(lines.body).included.links, named)
  const completed = await call(`POST /api/activities/${id}/completion?include=links`, {})
  t.same(completed.json().included.links, named)
  const changed = await call(`PATCH /api/activities/${id}?include=links`, { links: [links[3]] })
  t.same(changed.json().included.links, [named[3]])
  t.same(
    (await call('POST /api/activities?include=links', { type: 'task', subject: 'A' })).json()
      .included,
    { links: [] }
  )
})

t.test('a page needs one statement for each type of record', async t => {
  for (let i = 0; i < 5; i++) await create('activities', activity)
  const { lists, point } = app.services.database
  const list = async (query: string) =>
    (await plansOf(app, () => call(`GET /api/activities?${query}`), [lists, point])).length
  t.equal(await list('include=links'), (await list('limit=50')) + 4)
})

t.test('a deleted record is still named, and marked', async t => {
  const gone = await create('contacts', { first_name: 'Gone', last_name: 'Away' })
  const body = { type: 'note', subject: 'N', links: [{ type: 'contact', id: gone }] }
  const id = await create('activities', body)
  await call(`DELETE /api/contacts/${gone}`)
  const shown = async (query: string) => (await call(`GET /api/activities${query}`)).json()
  const marked = [{ type: 'contact', id: gone, name: 'Gone Away', deleted_at: /Z$/ }]
  t.match((await shown(`/${id}?include=links`)).included, { links: marked })
  await call(`DELETE /api/activities/${id}`)
  t.match(
    (await shown(`?deleted=true&id=${id}&include=links`)).data[0].included,
    { links: marked },
    'also for an activity in the trash'
  )
})

t.test('records of a type that the caller may not read are not named', async t => {
  const relations = relationsOf(activityResource)
  const ctx = Context.system(app.services, organization_id)
  const load = async (ctx: Context) => await loadRelated(ctx, [{ links }], relations, ['links'], {})
  const reading = (resource: string): Grant => ({ resource, actions: ['read'], reach: 'all' })
  t.same(await load(withGrants(ctx, [reading('records')])), [{ links: named }])
  const others = ['activities', 'accounts', 'leads', 'opportunities'].map(reading)
  t.same(await load(withGrants(ctx, others)), [
    {
      links: named
        .filter(({ type }) => type !== 'contact')
        .map(link => (link.type === 'lead' ? { ...link, name: 'website' } : link))
    }
  ])
})

t.test('nothing of another organization is named', async t => {
  const other = await organization(app)
  const ctx = Context.system(app.services, other.id)
  const relations = relationsOf(activityResource)
  t.same(await loadRelated(ctx, [{ links }], relations, ['links'], {}), [{ links: [] }])
})
