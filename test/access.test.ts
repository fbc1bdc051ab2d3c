// Who may do what, for every operation of the document.
import t from 'tap'
import { allResources } from '../src/core/records/resource.ts'
import { assertAccess } from './support/access.ts'
import { application, organization } from './support/app.ts'

const app = await application(t)

t.test('every operation is refused to those without its permission', async t => {
  const tried = await assertAccess(t, app)
  t.ok(tried.length > 150, `${tried.length} operations`)
})

t.test('admins alone change users, roles and settings', async t => {
  const restricted = allResources().filter(({ access }) => access !== undefined)
  t.same(
    restricted.map(({ path, access }) => `${path}: ${access}`).toSorted(),
    [
      'api-tokens: personal',
      'assignment-rules: settings',
      'identity-providers: administration',
      'integrations: administration',
      'invitations: administration',
      'pipelines: settings',
      'roles: administration',
      'scoring-models: settings',
      'stages: settings',
      'tags: shared',
      'teams: settings',
      'territories: settings',
      'users: administration',
      'webhooks: administration'
    ],
    'as the contract says'
  )
})

t.test('a user writes records', async t => {
  const { call, user } = await organization(app)
  const writer = await user('user')
  const { id } = (await call('POST /api/leads', {})).json()
  t.equal((await writer.call(`PATCH /api/leads/${id}`, { score: 1 })).statusCode, 200)
})
