import t from 'tap'
import { application, organization, ownerOf, work } from '../support/app.ts'

const app = await application(t)

t.test('a job has the rights that its author has when it runs', async t => {
  const { id, call, user } = await organization(app)
  await ownerOf(app)`insert into contacts (organization_id, first_name, last_name)
    select ${id}, 'Many', 'N' || i from generate_series(1, 1100) i`
  const members = async () =>
    (await call('GET /api/campaign-members?count=exact&limit=1')).json().total
  const addAll = async (role: string) => {
    const seller = await user('user')
    const campaign = (await seller.call('POST /api/campaigns', { name: role })).json()
    const all = { resource: 'contacts', filter: '' }
    const answer = await seller.call(`POST /api/campaigns/${campaign.id}/members`, all)
    t.match(answer.json(), { added: 1000, pending: true })
    await call(`PATCH /api/users/${seller.user.id}`, { role })
    await work(app)
  }
  await addAll('user')
  t.equal(await members(), 1100, 'the rest is added by a job')
  await addAll('partner')
  t.equal(await members(), 2100, 'it adds what its author still reaches')
  await addAll('viewer')
  t.equal(await members(), 3100, 'and nothing for one who may add nothing')
})
