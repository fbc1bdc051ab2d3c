import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { crud } from '../../../core/http/resource-routes.ts'
import { Ref } from '../../../core/http/schema.ts'
import { Account } from '../accounts/schema.ts'
import * as accounts from '../accounts/service.ts'
import { ActivityList, ActivitySummary } from '../activities/schema.ts'
import { TagList } from '../tags/schema.ts'
import * as tags from '../tags/service.ts'
import { Contact, ContactChanges, contactFilter, contactScopes, NewContact } from './schema.ts'
import * as contacts from './service.ts'
import { searchable } from './table.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  app.addSchema(ActivitySummary)
  crud(app, contacts, {
    one: 'contact',
    many: 'contacts',
    record: Contact,
    create: NewContact,
    update: ContactChanges,
    filter: contactFilter,
    scopes: contactScopes,
    sort: ['id', 'first_name', 'last_name', 'email', 'company', 'created_at', 'updated_at'],
    search: searchable,
    include: {
      account: {
        by: 'account_id',
        find: accounts.find,
        record: Ref(Account),
        permission: 'accounts:read'
      },
      activities: {
        each: contacts.recentActivities,
        record: ActivityList,
        permission: 'activities:read'
      },
      tags: { by: 'tags', find: tags.find, record: TagList, permission: 'tags:read' }
    }
  })
}

export default routes
