import type { Context } from '../../src/core/access/context.ts'
import { problemOfDatabase } from '../../src/core/errors.ts'
import { generatePassword } from '../../src/bootstrap/first-admin.ts'
import { accountService } from '../../src/modules/crm/accounts/service.ts'
import { activityService } from '../../src/modules/crm/activities/service.ts'
import { campaignMemberService } from '../../src/modules/marketing/campaign-members/service.ts'
import { campaignService } from '../../src/modules/marketing/campaigns/service.ts'
import { contactService } from '../../src/modules/crm/contacts/service.ts'
import { leadConversionService } from '../../src/modules/sales/lead-conversion/service.ts'
import { leadService } from '../../src/modules/crm/leads/service.ts'
import { opportunityService } from '../../src/modules/sales/opportunities/service.ts'
import { pipelineService } from '../../src/modules/sales/pipelines/service.ts'
import { userService } from '../../src/modules/identity/users/service.ts'
import {
  DemoData,
  type AccountRef,
  type ContactRef,
  type LeadRef,
  type OpportunityRef
} from './demo-data.ts'
import { createProgress, type Progress } from './progress.ts'
import { createSettings } from './settings.ts'
import { Writer } from './writer.ts'

/** Number of records of each kind for a number of contacts. */
const planFor = (contacts: number) => ({
  users: Math.min(20, Math.max(3, Math.round(contacts / 500))),
  headquarters: Math.ceil(contacts / 20),
  subsidiaries: Math.ceil(contacts / 5),
  contacts,
  leads: Math.ceil(contacts * 0.4),
  opportunities: Math.ceil(contacts * 0.2),
  activities: Math.ceil(contacts * 1.5),
  campaigns: Math.ceil(contacts / 5000) + 2,
  members: Math.ceil(contacts * 0.2),
  conversions: Math.min(100, Math.ceil(contacts * 0.02))
})
type Plan = ReturnType<typeof planFor>

/** Creates demo data of all resources. Returns the names of the new users and their password. */
export async function createDemoData(ctx: Context, contactCount: number, seed: number) {
  const { total: existing = 0 } = await contactService.list(ctx, { limit: 1, count: true })
  const data = new DemoData([seed, existing]) // different people in each run
  const plan = planFor(contactCount)
  const progress = createProgress(Object.values(plan).reduce((sum, count) => sum + count, 0))
  const { names, ids, password } = await createUsers(ctx, data, plan.users, progress)
  const seeding = { data, plan, users: ids, writer: new Writer(ctx, ids, progress) }
  data.tags = await createSettings(ctx, ids)
  const accounts = await createAccounts(seeding)
  const contacts = await createContacts(seeding, accounts)
  const leads = await createLeads(seeding, contacts)
  const accountOf = accountsOfContacts(contacts, accounts)
  const opportunities = await createOpportunities(ctx, seeding, leads, accountOf)
  await createActivities(seeding, contacts, leads, opportunities)
  await createCampaigns(seeding, contacts, leads)
  await convertLeads(seeding, leads, progress)
  progress.done()
  return { names, password }
}

/** State of a run; `users` are those with write access. */
interface Seeding {
  data: DemoData
  plan: Plan
  users: number[]
  writer: Writer
}

async function createUsers(ctx: Context, data: DemoData, count: number, progress: Progress) {
  const password = generatePassword()
  const names: string[] = []
  const ids: number[] = []
  for (let i = 0; i < count; i++) {
    const role = i % 7 === 6 ? 'viewer' : 'user'
    const { id, username } = await createUser(ctx, data.username(), role, password)
    names.push(role === 'viewer' ? `${username} (viewer)` : username)
    if (role === 'user') ids.push(id)
    progress.advance('users', 1)
  }
  return { names, ids, password }
}

/** Creates a user; appends a number to the name if it is in use. */
async function createUser(
  ctx: Context,
  name: string,
  role: 'user' | 'viewer',
  password: string,
  number = 1
): Promise<{ id: number; username: string }> {
  const username = number === 1 ? name : `${name}${number}`
  const email = `${username}@smartx.example`
  try {
    return await userService.create(ctx, { username, email, password, role })
  } catch (error) {
    if (problemOfDatabase(error)?.code !== 'duplicate') throw error
    return await createUser(ctx, name, role, password, number + 1)
  }
}

/** Creates headquarters before subsidiaries, so that the hierarchy has no cycle. */
async function createAccounts({ data, plan, users, writer }: Seeding): Promise<AccountRef[]> {
  const create = async (count: number, parents: AccountRef[]) =>
    (await writer.create(
      'accounts',
      count,
      accountService,
      ['id', 'name', 'website', 'country', 'created_at'],
      recency => data.account(recency, users, parents)
    )) as AccountRef[]
  const headquarters = await create(plan.headquarters, [])
  const subsidiaries = await create(plan.subsidiaries, headquarters)
  return [...headquarters, ...subsidiaries].toSorted((a, b) =>
    a.created_at < b.created_at ? -1 : 1
  )
}

const createContacts = async ({ data, plan, users, writer }: Seeding, accounts: AccountRef[]) =>
  (await writer.create('contacts', plan.contacts, contactService, ['id', 'account_id'], recency =>
    data.contact(recency, users, accounts)
  )) as ContactRef[]

/** The account of each contact, by the ID of the contact. */
function accountsOfContacts(contacts: ContactRef[], accounts: AccountRef[]) {
  const byId = new Map(accounts.map(account => [account.id, account]))
  return new Map(contacts.map(({ id, account_id }) => [id, byId.get(account_id ?? 0)]))
}

async function createLeads({ data, plan, users, writer }: Seeding, contacts: ContactRef[]) {
  const fields = ['id', 'contact_id', 'created_at']
  const leads = (await writer.create('leads', plan.leads, leadService, fields, recency =>
    data.lead(recency, users, contacts)
  )) as LeadRef[]
  const histories = leads.map(lead => ({ id: lead.id, transitions: data.transitionsOfLead(lead) }))
  await writer.applyTransitions(leadService, histories)
  return leads.map((lead, i) => {
    const { status = 'new' as const } = histories[i]!.transitions.at(-1) ?? {}
    return { ...lead, status }
  })
}

async function createOpportunities(
  ctx: Context,
  { data, plan, users, writer }: Seeding,
  leads: LeadRef[],
  accountOf: Map<number, AccountRef | undefined>
): Promise<OpportunityRef[]> {
  const { id: pipeline_id } = await pipelineService.getDefault(ctx)
  const opportunities = (await writer.create(
    'opportunities',
    plan.opportunities,
    opportunityService,
    ['id', 'account_id', 'created_at'],
    recency => ({
      ...data.opportunity(recency, users, leads, ({ contact_id }) =>
        accountOf.get(contact_id ?? 0)
      ),
      pipeline_id
    })
  )) as OpportunityRef[]
  await writer.applyTransitions(
    opportunityService,
    opportunities.map(opportunity => ({
      id: opportunity.id,
      transitions: data.transitionsOfOpportunity(opportunity)
    }))
  )
  return opportunities
}

async function createActivities(
  { data, plan, users, writer }: Seeding,
  contacts: ContactRef[],
  leads: LeadRef[],
  opportunities: OpportunityRef[]
): Promise<void> {
  await writer.create('activities', plan.activities, activityService, ['id'], recency =>
    data.activity(recency, users, contacts, leads, opportunities)
  )
}

async function createCampaigns(
  { data, plan, users, writer }: Seeding,
  contacts: ContactRef[],
  leads: LeadRef[]
): Promise<void> {
  const campaigns = (await writer.create(
    'campaigns',
    plan.campaigns,
    campaignService,
    ['id'],
    recency => data.campaign(recency, users)
  )) as { id: number }[]
  await writer.create('campaign members', plan.members, campaignMemberService, ['id'], recency =>
    data.member(recency, campaigns, contacts, leads)
  )
}

async function convertLeads(
  { plan, writer }: Seeding,
  leads: LeadRef[],
  progress: Progress
): Promise<void> {
  const qualified = leads.filter(({ status }) => status === 'qualified')
  for (const { id } of qualified.slice(0, plan.conversions)) {
    await leadConversionService.convert(writer.contextOf(id), id, {}, true)
    progress.advance('conversions', 1)
  }
}
