import t from 'tap'
import { Context } from '../../../src/core/access/context.ts'
import { Id } from '../../../src/core/http/schema.ts'
import { loadRelated, relationsOf, type Relations } from '../../../src/core/records/include.ts'
import { contactResource } from '../../../src/modules/crm/contacts/resource.ts'
import { userService } from '../../../src/modules/identity/users/service.ts'
import { application, organization, summaryOf, withGrants } from '../../support/app.ts'

const app = await application(t)
const { id: organization_id, admin, call, user } = await organization(app)
const ctx = Context.system(app.services, organization_id, admin.user.id)

t.test('related records need the permission to read their resource', async t => {
  const relations: Relations = {
    owner: {
      field: 'owner_id',
      reads: [],
      find: userService.find,
      schema: Id({}),
      permission: 'users:read'
    }
  }
  const rows = [{ id: 1, owner_id: admin.user.id }]
  const load = async (ctx: Context) => await loadRelated(ctx, rows, relations, ['owner'], {})
  t.match(await load(ctx), [{ owner: { id: admin.user.id } }])
  t.match(await load(withGrants(ctx, [])).catch((error: unknown) => error), { status: 403 })
})

t.test('relations that a definition declares carry that permission', async t => {
  const { account, tags } = relationsOf(contactResource)
  t.equal(account?.permission, 'accounts:read')
  t.equal(tags?.permission, 'tags:read')
})

t.test('a disabled and a deleted user are still named', async t => {
  const { user: named, call: asNamed } = await user('user')
  const summary = summaryOf(named)
  const body = { name: 'Corp', assigned_to: named.id }
  const { id } = (await asNamed('POST /api/accounts', body)).json()
  const team = { name: 'Team', leader_id: named.id, member_ids: [admin.user.id, named.id] }
  const { id: team_id } = (await call('POST /api/teams', team)).json()
  const viewer = await user('viewer')
  const assertNamed = async (when: string) => {
    const include = 'include=assigned_to,created_by,updated_by'
    for (const query of [`accounts/${id}?${include}`, `accounts?id=${id}&${include}`]) {
      const answer = (await viewer.call(`GET /api/${query}`)).json()
      const { included } = answer.data?.[0] ?? answer
      const expected = { assigned_to: summary, created_by: summary, updated_by: summary }
      t.same(included, expected, `${when}: ${query}`)
    }
    const { included } = (await viewer.call(`GET /api/teams/${team_id}?include=members`)).json()
    t.match(included.members, [{ id: admin.user.id }, summary], `${when}: a list of users`)
  }
  await call(`PATCH /api/users/${named.id}`, { status: 'disabled' })
  await assertNamed('disabled')
  await call(`DELETE /api/users/${named.id}`)
  await assertNamed('deleted')
})

t.test('any record can be shown with who created it; the system has no name', async t => {
  const tag = (await call('POST /api/tags?include=created_by', { name: 'Tag' })).json()
  t.match(tag.included, { created_by: { username: admin.user.username } })
  const [pipeline] = (await call('GET /api/pipelines?include=created_by')).json().data
  t.match([pipeline.created_by, pipeline.included], [null, { created_by: undefined }])
})

t.test('other deleted records are omitted: they are in the list of deleted ones', async t => {
  const { id: account_id } = (await call('POST /api/accounts', { name: 'Corp' })).json()
  const contact = { first_name: 'A', last_name: 'B', account_id }
  const { id } = (await call('POST /api/contacts', contact)).json()
  await call(`DELETE /api/accounts/${account_id}`)
  const shown = (await call(`GET /api/contacts/${id}?include=account`)).json()
  t.match([shown.account_id, shown.included], [account_id, {}])
  const trash = (await call(`GET /api/accounts?deleted=true&id=${account_id}`)).json()
  t.match(trash.data, [{ name: 'Corp' }])
})
