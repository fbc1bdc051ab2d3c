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
import { DemoData, type Company, type Person, type Prospect, type Sale } from './demo-data.ts'
import { progressOf, type Progress } from './progress.ts'
import { createSettings } from './settings.ts'
import { Writer } from './writer.ts'

/** How many records of each kind go with `contacts` contacts. */
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
export async function fill(ctx: Context, contacts: number, seed: number) {
  const { total: existing = 0 } = await contactService.list(ctx, { limit: 1, count: true })
  const data = new DemoData([seed, existing]) // other people in each run
  const plan = planFor(contacts)
  const progress = progressOf(Object.values(plan).reduce((sum, count) => sum + count, 0))
  const { names, ids, password } = await createUsers(ctx, data, plan.users, progress)
  const seeding = { data, plan, users: ids, writer: new Writer(ctx, ids, progress) }
  data.tags = await createSettings(ctx, ids)
  const companies = await createAccounts(seeding)
  const people = await createContacts(seeding, companies)
  const prospects = await createLeads(seeding, people)
  const sales = await createOpportunities(ctx, seeding, prospects, employersOf(people, companies))
  await seeding.writer.create('activities', plan.activities, activityService, ['id'], age =>
    data.activity(age, ids, people, prospects, sales)
  )
  await createCampaigns(seeding, people, prospects)
  await convertLeads(seeding, prospects, progress)
  progress.done()
  return { names, password }
}

/** What the functions below share; `users` may write. */
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

/** Creates a user, with a number behind the name if it is taken. */
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

/** Headquarters first: a subsidiary that comes after its parent cannot close a circle. */
async function createAccounts({ data, plan, users, writer }: Seeding): Promise<Company[]> {
  const create = async (count: number, parents: Company[]) =>
    (await writer.create(
      'accounts',
      count,
      accountService,
      ['id', 'name', 'website', 'country', 'created_at'],
      age => data.account(age, users, parents)
    )) as Company[]
  const headquarters = await create(plan.headquarters, [])
  const subsidiaries = await create(plan.subsidiaries, headquarters)
  return [...headquarters, ...subsidiaries].toSorted((a, b) =>
    a.created_at < b.created_at ? -1 : 1
  )
}

const createContacts = async ({ data, plan, writer }: Seeding, companies: Company[]) =>
  (await writer.create('contacts', plan.contacts, contactService, ['id', 'account_id'], age =>
    data.contact(age, companies)
  )) as Person[]

function employersOf(people: Person[], companies: Company[]) {
  const byId = new Map(companies.map(company => [company.id, company]))
  return new Map(people.map(({ id, account_id }) => [id, byId.get(account_id ?? 0)]))
}

async function createLeads({ data, plan, users, writer }: Seeding, people: Person[]) {
  const fields = ['id', 'contact_id', 'created_at']
  const leads = (await writer.create('leads', plan.leads, leadService, fields, age =>
    data.lead(age, users, people)
  )) as Prospect[]
  const histories = leads.map(lead => ({ id: lead.id, transitions: data.transitionsOfLead(lead) }))
  await writer.transition(leadService, histories)
  return leads.map((lead, i) => {
    const { status = 'new' as const } = histories[i]!.transitions.at(-1) ?? {}
    return { ...lead, status }
  })
}

async function createOpportunities(
  ctx: Context,
  { data, plan, users, writer }: Seeding,
  prospects: Prospect[],
  employers: Map<number, Company | undefined>
): Promise<Sale[]> {
  const { id: pipeline_id } = await pipelineService.getDefault(ctx)
  const employerOf = ({ contact_id }: Prospect) => employers.get(contact_id ?? 0)
  const sales = (await writer.create(
    'opportunities',
    plan.opportunities,
    opportunityService,
    ['id', 'account_id', 'created_at'],
    age => ({ ...data.opportunity(age, users, prospects, employerOf), pipeline_id })
  )) as Sale[]
  await writer.transition(
    opportunityService,
    sales.map(sale => ({ id: sale.id, transitions: data.transitionsOfOpportunity(sale) }))
  )
  return sales
}

async function createCampaigns(
  { data, plan, users, writer }: Seeding,
  people: Person[],
  prospects: Prospect[]
): Promise<void> {
  const campaigns = (await writer.create(
    'campaigns',
    plan.campaigns,
    campaignService,
    ['id'],
    age => data.campaign(age, users)
  )) as { id: number }[]
  await writer.create('campaign members', plan.members, campaignMemberService, ['id'], age =>
    data.member(age, campaigns, people, prospects)
  )
}

async function convertLeads(
  { plan, writer }: Seeding,
  prospects: Prospect[],
  progress: Progress
): Promise<void> {
  const qualified = prospects.filter(({ status }) => status === 'qualified')
  for (const { id } of qualified.slice(0, plan.conversions)) {
    await leadConversionService.convert(writer.as(id), id, {}, true)
    progress.advance('conversions', 1)
  }
}
