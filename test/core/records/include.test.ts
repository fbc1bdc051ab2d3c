import t from 'tap'
import { Context } from '../../../src/core/access/context.ts'
import { Id } from '../../../src/core/http/schema.ts'
import { loadRelated, relationsOf, type Relations } from '../../../src/core/records/include.ts'
import { contactResource } from '../../../src/modules/crm/contacts/resource.ts'
import { userService } from '../../../src/modules/identity/users/service.ts'
import { application, organization } from '../../support/app.ts'

const app = await application(t)
const { id: organization_id, admin } = await organization(app)
const contextOf = (role: 'admin' | 'viewer') =>
  new Context(app.services, { organization_id, user_id: admin.user.id, role, session_id: null })

t.test('related records need the permission to read their resource', async t => {
  const relations: Relations = {
    owner: {
      field: 'owner_id',
      find: userService.find,
      schema: Id({}),
      permission: 'users:read'
    }
  }
  const rows = [{ id: 1, owner_id: admin.user.id }]
  const load = async (role: 'admin' | 'viewer') =>
    await loadRelated(contextOf(role), rows, relations, ['owner'], {})
  t.match(await load('admin'), [{ owner: { id: admin.user.id } }])
  t.match(await load('viewer').catch((error: unknown) => error), { status: 403 })
})

t.test('relations that a definition declares carry that permission', async t => {
  const { account, tags } = relationsOf(contactResource)
  t.equal(account?.permission, 'accounts:read')
  t.equal(tags?.permission, 'tags:read')
})
