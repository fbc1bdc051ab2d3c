import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { crud } from '../../../core/http/resource-routes.ts'
import { Ref } from '../../../core/http/schema.ts'
import { Campaign } from '../campaigns/schema.ts'
import * as campaigns from '../campaigns/service.ts'
import { Contact } from '../../crm/contacts/schema.ts'
import * as contacts from '../../crm/contacts/service.ts'
import { Lead } from '../../crm/leads/schema.ts'
import * as leads from '../../crm/leads/service.ts'
import { CampaignMember, CampaignMemberChanges, NewCampaignMember } from './schema.ts'
import * as members from './service.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  crud(app, members, {
    one: 'campaign member',
    many: 'campaign members',
    record: CampaignMember,
    create: NewCampaignMember,
    update: CampaignMemberChanges,
    filter: ['id', 'campaign_id', 'contact_id', 'lead_id', 'status', 'created_at', 'updated_at'],
    sort: ['id', 'created_at', 'updated_at'],
    include: {
      campaign: {
        by: 'campaign_id',
        find: campaigns.find,
        record: Ref(Campaign),
        permission: 'campaigns:read'
      },
      contact: {
        by: 'contact_id',
        find: contacts.find,
        record: Ref(Contact),
        permission: 'contacts:read'
      },
      lead: { by: 'lead_id', find: leads.find, record: Ref(Lead), permission: 'leads:read' }
    }
  })
}

export default routes
