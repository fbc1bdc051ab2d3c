import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { crud } from '../../kit/crud.ts'
import { Ref } from '../../kit/schema.ts'
import { TagList } from '../tags/schema.ts'
import * as tags from '../tags/service.ts'
import { UserSummary } from '../users/schema.ts'
import { findSummaries } from '../users/service.ts'
import { Account, AccountChanges, NewAccount } from './schema.ts'
import * as accounts from './service.ts'
import { searchable } from './table.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  crud(app, accounts, {
    one: 'account', many: 'accounts', record: Account, create: NewAccount, update: AccountChanges,
    filter: ['id', 'name', 'industry', 'city', 'state', 'country', 'status', 'type', 'annual_revenue', 'employee_count', 'parent_account_id', 'assigned_to', 'tags', 'created_at', 'updated_at'],
    sort: ['id', 'name', 'annual_revenue', 'employee_count', 'created_at', 'updated_at'],
    search: searchable,
    include: {
      parent_account: { by: 'parent_account_id', find: accounts.find, record: Ref(Account), permission: 'accounts:read' },
      assigned_to: { by: 'assigned_to', find: findSummaries, record: Ref(UserSummary) },
      tags: { by: 'tags', find: tags.find, record: TagList, permission: 'tags:read' }
    }
  })
}

export default routes
