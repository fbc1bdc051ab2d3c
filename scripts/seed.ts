// Demo data of every resource: npm run seed -- --contacts 10000 [--seed 1]
// It goes where `npm start` looks; a server that is running there may go on running.
import { parseArgs } from 'node:util'
import { describeDatabase, withServices } from '../src/bootstrap/boot.ts'
import { ConfigError, readConfig } from '../src/config.ts'
import { generatePassword, createFirstAdmin } from '../src/bootstrap/first-admin.ts'
import { Context } from '../src/core/access/context.ts'
import { problemOfDatabase } from '../src/core/errors.ts'
import type { ListQuery, Page } from '../src/core/records/list.ts'
import { accountService as accounts } from '../src/modules/crm/accounts/service.ts'
import { activityService as activities } from '../src/modules/crm/activities/service.ts'
import { campaignMemberService as campaignMembers } from '../src/modules/marketing/campaign-members/service.ts'
import { campaignService as campaigns } from '../src/modules/marketing/campaigns/service.ts'
import { contactService as contacts } from '../src/modules/crm/contacts/service.ts'
import { leadConversionService as conversions } from '../src/modules/sales/lead-conversion/service.ts'
import { leadService as leads } from '../src/modules/crm/leads/service.ts'
import { opportunityService as opportunities } from '../src/modules/sales/opportunities/service.ts'
import { pipelineService as pipelines } from '../src/modules/sales/pipelines/service.ts'
import { userService as users } from '../src/modules/identity/users/service.ts'
import {
  Imagination,
  type Company,
  type Person,
  type Prospect,
  type Sale
} from './seed/imagination.ts'
import { progressOf } from './seed/progress.ts'
import { setUp } from './seed/settings.ts'

const usage = `Usage: npm run seed -- [--contacts 1000] [--seed 1]

  --contacts   how many contacts to make; accounts, leads, opportunities, activities, campaigns and users come with them,
               and with the first of them tags, teams, territories, and rules in force: an active scoring model, two of assignment
  --seed       another number makes other people up

Every run adds to what is there: in DATA_DIR, or in the database of DATABASE_URL.`

/** Rows in a statement: large enough to be fast, small enough for its limit of five seconds. */
const batch = 1000

interface Service<Row> {
  list: (ctx: Context, query: ListQuery) => Promise<Page<object>>
  stream: (ctx: Context, query: ListQuery) => AsyncIterable<object[]>
  createMany: (ctx: Context, rows: Row[]) => Promise<number>
}

async function main() {
  const { size, seed, help } = options()
  if (help) return console.log(usage)
  const config = readConfig()
  await withServices(config, async services => {
    const { generated } = await createFirstAdmin(services, config.admin)
    if (generated)
      console.log(`Admin: ${config.admin.username}   password: ${generated}   (shown only now)`)
    const [organization] = await services.database.pool<
      { id: number }[]
    >`select id from organizations order by id limit 1`
    await fill(
      new Context(services, {
        organization_id: organization!.id,
        user_id: null,
        role: 'admin',
        session_id: null
      }),
      size,
      seed
    )
    await services.database.pool`analyze` // or the first searches are planned for empty tables
    console.log(`Written to ${describeDatabase(config)}`)
  })
}

/** Makes `size` contacts in the organisation of `ctx`, and of the rest what goes with them. */
async function fill(ctx: Context, size: number, seed: number) {
  const { total: before = 0 } = await contacts.list(ctx, { limit: 1, count: true })
  // not the same people again, when it is not the first time
  const imagine = new Imagination([seed, before])
  const plan = {
    users: Math.min(20, Math.max(3, Math.round(size / 500))),
    headquarters: Math.ceil(size / 20),
    subsidiaries: Math.ceil(size / 5),
    contacts: size,
    leads: Math.ceil(size * 0.4),
    opportunities: Math.ceil(size * 0.2),
    activities: Math.ceil(size * 1.5),
    campaigns: Math.ceil(size / 5000) + 2,
    members: Math.ceil(size * 0.2),
    conversions: Math.min(100, Math.ceil(size * 0.02))
  }
  const progress = progressOf(Object.values(plan).reduce((sum, count) => sum + count, 0))

  const { id: pipeline_id } = await pipelines.getDefault(ctx)
  const password = generatePassword()
  const names: string[] = []
  const team: number[] = [] // those who may write
  for (let i = 0; i < plan.users; i++) {
    const role = i % 7 === 6 ? 'viewer' : 'user'
    const { id, username } = await makeUser(ctx, imagine.username(), role, password)
    names.push(role === 'viewer' ? `${username} (viewer)` : username)
    if (role === 'user') team.push(id)
    progress.advance('users', 1)
  }

  /**
   * Makes `count` records, each batch in the name of another user, and returns them with their
   * numbers.
   */
  async function make<Row>(
    what: string,
    count: number,
    service: Service<Row>,
    fields: readonly string[],
    invent: (age: number) => Row
  ): Promise<object[]> {
    const newest = (await service.list(ctx, { limit: 1, fields: ['id'] })).data[0] as
      | { id: number }
      | undefined
    let written: Promise<unknown> = Promise.resolve()
    for (let first = 0; first < count; first += batch) {
      const rows = Array.from({ length: Math.min(batch, count - first) }, (_, i) =>
        invent((first + i + 0.5) / count)
      )
      await written // the next rows are invented while Postgres stores these
      const author = new Context(ctx.services, {
        ...ctx.principal,
        user_id: team[(first / batch) % team.length]!
      })
      written = service.createMany(author, rows)
      progress.advance(what, rows.length)
    }
    await written
    const made: object[] = []
    const since = { field: 'id', operator: 'gt' as const, value: newest?.id ?? 0 }
    for await (const rows of service.stream(ctx, {
      fields,
      filters: [since],
      sort: [{ field: 'id', descending: false }]
    }))
      made.push(...rows)
    return made
  }

  /**
   * Takes records along their ways, the first step of each, then the second: as a team would have
   * done, with the times of then.
   */
  async function walk<Step extends object>(
    service: {
      updateMany: (ctx: Context, changes: (Step & { id: number })[]) => Promise<number[]>
    },
    ways: { id: number; way: Step[] }[]
  ): Promise<void> {
    for (
      let step = 0, left = ways;
      left.length > 0;
      step++, left = left.filter(({ way }) => way.length > step)
    ) {
      const steps = left.flatMap(({ id, way }) =>
        way.slice(step, step + 1).map(changes => ({ ...changes, id }))
      )
      for (const alike of Map.groupBy(steps, changes => Object.keys(changes).join()).values()) {
        for (let first = 0; first < alike.length; first += batch) {
          await service.updateMany(
            new Context(ctx.services, {
              ...ctx.principal,
              user_id: team[(first / batch) % team.length]!
            }),
            alike.slice(first, first + batch)
          )
        }
      }
    }
  }

  imagine.tags = await setUp(ctx, team)
  // the owners first: subsidiaries that come after them can make no circle
  const wanted = ['id', 'name', 'website', 'country', 'created_at'] as const
  const headquarters = (await make('accounts', plan.headquarters, accounts, wanted, age =>
    imagine.account(age, team, [])
  )) as Company[]
  const subsidiaries = (await make('accounts', plan.subsidiaries, accounts, wanted, age =>
    imagine.account(age, team, headquarters)
  )) as Company[]
  const companies = [...headquarters, ...subsidiaries].toSorted((one, other) =>
    one.created_at < other.created_at ? -1 : 1
  )
  const people = (await make('contacts', plan.contacts, contacts, ['id', 'account_id'], age =>
    imagine.contact(age, companies)
  )) as Person[]
  const newLeads = (await make(
    'leads',
    plan.leads,
    leads,
    ['id', 'contact_id', 'created_at'],
    age => imagine.lead(age, team, people)
  )) as Prospect[]
  const waysOfLeads = newLeads.map(lead => ({ id: lead.id, way: imagine.wayOfLead(lead) }))
  await walk(leads, waysOfLeads)
  const prospects = newLeads.map((lead, i) => ({
    ...lead,
    status: waysOfLeads[i]!.way.at(-1)?.status ?? ('new' as const)
  }))
  const companyById = new Map(companies.map(company => [company.id, company]))
  const employer = new Map(
    people.map(({ id, account_id }) => [id, companyById.get(account_id ?? 0)])
  )
  const sales = (await make(
    'opportunities',
    plan.opportunities,
    opportunities,
    ['id', 'account_id', 'created_at'],
    age => ({
      ...imagine.opportunity(age, team, prospects, lead => employer.get(lead.contact_id ?? 0)),
      pipeline_id
    })
  )) as Sale[]
  await walk(
    opportunities,
    sales.map(sale => ({ id: sale.id, way: imagine.wayOfOpportunity(sale) }))
  )
  await make('activities', plan.activities, activities, ['id'], age =>
    imagine.activity(age, team, people, prospects, sales)
  )
  const made = (await make('campaigns', plan.campaigns, campaigns, ['id'], age =>
    imagine.campaign(age, team)
  )) as { id: number }[]
  await make('campaign members', plan.members, campaignMembers, ['id'], age =>
    imagine.member(age, made, people, prospects)
  )
  for (const { id } of prospects
    .filter(({ status }) => status === 'qualified')
    .slice(0, plan.conversions)) {
    await conversions.convert(
      new Context(ctx.services, { ...ctx.principal, user_id: team[id % team.length]! }),
      id,
      {},
      true
    )
    progress.advance('conversions', 1)
  }
  progress.done()
  console.log(
    'Leads are scored by the scoring model "Who answers", and new ones assigned by two ' +
      'rules: see /api/scoring-models and /api/assignment-rules'
  )
  console.log(
    `The new users log in with the password ${password}   (shown only now): ${names.join(', ')}`
  )
}

/** Makes a user, with a number behind the name if there is such a one already. */
async function makeUser(
  ctx: Context,
  name: string,
  role: 'user' | 'viewer',
  password: string,
  number = 1
): Promise<{ id: number; username: string }> {
  const username = number === 1 ? name : `${name}${number}`
  try {
    return await users.create(ctx, {
      username,
      email: `${username}@smartx.example`,
      password,
      role
    })
  } catch (error) {
    if (problemOfDatabase(error)?.code !== 'duplicate') throw error
    return await makeUser(ctx, name, role, password, number + 1)
  }
}

function options() {
  const { help, ...values } = parseArgs({
    options: {
      contacts: { type: 'string', default: '1000' },
      seed: { type: 'string', default: '1' },
      help: { type: 'boolean', default: false }
    }
  }).values
  for (const [name, value] of Object.entries(values)) {
    if (!/^[1-9]\d{0,6}$/.test(value))
      throw new ConfigError(
        `--${name} must be a whole number from 1 to 9999999, and is ${JSON.stringify(value)}`
      )
  }
  return { size: Number(values.contacts), seed: Number(values.seed), help }
}

main().catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error)
  // of what parseArgs says, the rest is about positional arguments
  console.error(
    message.startsWith('Unknown option')
      ? `${message.split('. ')[0]}: see npm run seed -- --help`
      : message
  )
  process.exit(1)
})
