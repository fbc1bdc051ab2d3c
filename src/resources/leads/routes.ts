import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { crud } from '../../kit/crud.ts'
import { Ref } from '../../kit/schema.ts'
import { Contact } from '../contacts/schema.ts'
import * as contacts from '../contacts/service.ts'
import { TagList } from '../tags/schema.ts'
import * as tags from '../tags/service.ts'
import { UserSummary } from '../users/schema.ts'
import { findSummaries } from '../users/service.ts'
import { Lead, LeadChanges, NewLead } from './schema.ts'
import * as leads from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  crud(app, leads, {
    one: 'lead', many: 'leads', record: Lead, create: NewLead, update: LeadChanges,
    filter: ['id', 'contact_id', 'source', 'status', 'score', 'grade', 'assigned_to', 'moved_at', 'tags', 'created_at', 'updated_at'],
    sort: ['id', 'status', 'score', 'moved_at', 'created_at', 'updated_at'],
    include: {
      contact: { by: 'contact_id', find: contacts.find, record: Ref(Contact), permission: 'contacts:read' },
      assigned_to: { by: 'assigned_to', find: findSummaries, record: Ref(UserSummary) },
      tags: { by: 'tags', find: tags.find, record: TagList, permission: 'tags:read' }
    }
  })
}

export default routes
