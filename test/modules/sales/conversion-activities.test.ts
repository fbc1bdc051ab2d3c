import t from 'tap'
import { application, organization, type Call } from '../../support/app.ts'
import { convert, create, createLead, get, person, type Json } from './conversions.ts'

const app = await application(t)

interface Entry {
  kind: string
  activity?: Json
}

const log = async (call: Call, links: object[], fields: object = {}) =>
  await create(call, 'activities', { type: 'call', subject: 'Talk', links, ...fields })

/** The IDs of the activities that a record has in its timeline and in the list of activities. */
async function activitiesOf(call: Call, type: string, id: number) {
  const path = type === 'opportunity' ? 'opportunities' : `${type}s`
  const timeline = (await call(`GET /api/${path}/${id}/timeline?limit=200&kind=activity`)).json<{
    data: Entry[]
  }>()
  const list = (
    await call(`GET /api/activities?${type}_id=${id}&limit=200&count=exact&sort=id`)
  ).json<{ data: Json[]; total: number }>()
  t.equal(list.total, list.data.length, `the total of ${type}`)
  const ids = list.data.map(activity => activity.id)
  t.same(
    timeline.data.map(entry => entry.activity!.id).toSorted((a, b) => a - b),
    ids,
    `timeline and list of ${type}`
  )
  return ids
}

const parts = ['contact', 'account', 'opportunity'] as const

t.test('the activities of a converted lead', async t => {
  const { call } = await organization(app)
  const lead = await createLead(call, null)
  const other = await createLead(call, null)
  const contact = await create(call, 'contacts', person)
  const links = [{ type: 'lead', id: lead.id }]
  const talk = await log(call, links)
  const both = await log(call, [...links, { type: 'contact', id: contact.id }])
  const ofTwo = await log(call, [{ type: 'lead', id: other.id }, ...links])
  const gone = await log(call, links)
  await call(`DELETE /api/activities/${gone.id}`)
  const body = { account: { name: 'Activity Ltd' }, contact: { id: contact.id } }
  const made = await convert(call, lead, body)
  const ids = [talk.id, both.id, ofTwo.id]

  await t.test('are those of the contact, the account and the opportunity, each once', async t => {
    for (const part of parts) t.same(await activitiesOf(call, part, made[part].id), ids, part)
    t.same(await activitiesOf(call, 'lead', lead.id), ids)
    const [shown] = (
      await call(`GET /api/contacts?id=${contact.id}&active_since=1d&include=activities`)
    ).json<{ data: { included: { activities: Json[] } }[] }>().data
    t.same(
      shown!.included.activities.map(({ id }) => id),
      ids.toReversed()
    )
    t.match(await get(call, `activities/${talk.id}`), { version: 1, links }, 'nothing changed')
  })

  await t.test('follow the activity: added, changed, deleted and restored later', async t => {
    const later = await log(call, links)
    const moved = await log(call, [])
    await call(`PATCH /api/activities/${moved.id}`, { links })
    await call(`PATCH /api/activities/${talk.id}`, { status: 'completed' })
    await call(`POST /api/activities/${gone.id}/restore`)
    const all = [talk.id, both.id, ofTwo.id, gone.id, later.id, moved.id]
    for (const part of parts) t.same(await activitiesOf(call, part, made[part].id), all, part)
    await call(`PATCH /api/activities/${talk.id}`, { links: [] })
    await call(`DELETE /api/activities/${later.id}`)
    const rest = [both.id, ofTwo.id, gone.id, moved.id]
    for (const part of parts) t.same(await activitiesOf(call, part, made[part].id), rest, part)
    await call(`PATCH /api/activities/${talk.id}`, { links })
    await call(`DELETE /api/activities/${gone.id}`)
    await call(`DELETE /api/activities/${moved.id}`)
  })

  await t.test('are once those of an account that two leads became', async t => {
    await convert(call, other, { account: { id: made.account.id }, contact: null })
    t.same(await activitiesOf(call, 'account', made.account.id), ids)
    await call(`DELETE /api/leads/${other.id}/conversion`)
    t.same(await activitiesOf(call, 'account', made.account.id), ids)
  })

  await t.test('are taken back by the undo, also if they were edited meanwhile', async t => {
    await call(`PATCH /api/activities/${talk.id}`, { subject: 'Edited', status: 'planned' })
    const { left } = (await call(`DELETE /api/leads/${lead.id}/conversion`)).json()
    t.same(left, [], 'they do not keep what the conversion created')
    t.same(await activitiesOf(call, 'contact', contact.id), [both.id], 'its own link stays')
    t.same(await activitiesOf(call, 'lead', lead.id), ids)
    for (const part of ['account', 'opportunity'])
      t.same((await call(`GET /api/activities?${part}_id=${made[part].id}`)).json().data, [], part)
    t.match(await get(call, `activities/${talk.id}`), { subject: 'Edited', links })
  })

  await t.test('are those of the next conversion', async t => {
    const again = await convert(call, lead, { ...body, account: { name: 'Again Ltd' } })
    for (const part of parts) t.same(await activitiesOf(call, part, again[part].id), ids, part)
  })
})

t.test('conversions, undos and changes of activities, at once, lose no link', async t => {
  const { call } = await organization(app)
  const account = await create(call, 'accounts', { name: 'Busy Ltd' })
  const leads = await Promise.all(
    Array.from({ length: 4 }, async () => await createLead(call, null))
  )
  const links = leads.map(({ id }) => ({ type: 'lead', id }))
  const activities = await Promise.all(
    Array.from({ length: 8 }, async (_, i) => await log(call, i % 2 ? links : links.toReversed()))
  )
  const path = (i: number) => `/api/leads/${leads[i % 4]!.id}/conversion`
  for (let round = 0; round < 10; round++) {
    const answers = await Promise.all([
      ...leads.map(
        async (_, i) =>
          await (i % 2 === round % 2
            ? call(`POST ${path(i)}`, { account: { id: account.id } })
            : call(`DELETE ${path(i)}`))
      ),
      ...activities.map(async ({ id }, i) => {
        const some = links.filter((_, j) => (i + j + round) % 3 > 0)
        return await call(`PATCH /api/activities/${id}`, { links: some })
      }),
      ...leads.map(async ({ id }) => {
        const link = { type: 'lead', id }
        return await call('POST /api/activities', { type: 'note', subject: 'N', links: [link] })
      }),
      ...leads.map(async ({ id }) => await call(`PATCH /api/leads/${id}`, { score: round }))
    ])
    for (const { statusCode, body } of answers)
      t.ok(
        [200, 201].includes(statusCode) || (round === 0 && statusCode === 404),
        body.slice(0, 200)
      )
    const converted = new Set<number>()
    for (const [i, { id }] of leads.entries())
      if ((await call(`GET ${path(i)}`)).statusCode === 200)
        for (const activity of await activitiesOf(call, 'lead', id)) converted.add(activity)
    const expected = [...converted].toSorted((a, b) => a - b)
    t.same(await activitiesOf(call, 'account', account.id), expected, `round ${round}`)
  }
})

t.test('a lead with thousands of activities is converted, and that is undone', async t => {
  const { call, id: organization_id } = await organization(app)
  const lead = await createLead(call, null)
  await app.services.database.pool`
    insert into activities (organization_id, type, subject, links)
    select ${organization_id}, 'note', 'N',
      jsonb_build_array(jsonb_build_object('type', 'lead', 'id', ${lead.id}::bigint))
    from generate_series(1, 5000)`
  const { account } = await convert(call, lead, { account: { name: 'Many Ltd' } })
  const count = async () =>
    (await call(`GET /api/activities?account_id=${account.id}&limit=1&count=exact`)).json().total
  t.equal(await count(), 5000)
  t.same((await call(`DELETE /api/leads/${lead.id}/conversion`)).json().left, [])
  t.equal(await count(), 0)
})
