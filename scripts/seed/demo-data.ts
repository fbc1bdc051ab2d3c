import type { Faker } from '@faker-js/faker'
import { faker as de } from '@faker-js/faker/locale/de'
import { faker as en } from '@faker-js/faker/locale/en'
import { faker as es } from '@faker-js/faker/locale/es'
import { faker as fr } from '@faker-js/faker/locale/fr'
import { faker as pl } from '@faker-js/faker/locale/pl'
import { faker as pt } from '@faker-js/faker/locale/pt_BR'
import { faker as sv } from '@faker-js/faker/locale/sv'
import { faker as tr } from '@faker-js/faker/locale/tr'
import { types } from '../../src/modules/crm/accounts/table.ts'
import { types as activityTypes, type Link } from '../../src/modules/crm/activities/table.ts'
import { statuses as responses } from '../../src/modules/marketing/campaign-members/table.ts'
import { types as campaignTypes } from '../../src/modules/marketing/campaigns/table.ts'
import { statuses } from '../../src/modules/crm/leads/table.ts'
import { ascii, cents, dayOf, older, phoneOf, sometimes, spread, weighted } from './random.ts'

/** What later records need of those created before. Lists of them are in order of age. */
export interface Company {
  id: number
  name: string
  website: string
  country: string
  created_at: string
}
export interface Person {
  id: number
  account_id: number | null
}
export interface Prospect {
  id: number
  contact_id: number | null
  status: (typeof statuses)[number]
  created_at: string
}
export interface Sale {
  id: number
  account_id: number | null
  created_at: string
}

interface Locale {
  faker: Faker
  country: string
  weight: number
}
const locales: Locale[] = [
  { faker: en, country: 'United States', weight: 8 },
  { faker: de, country: 'Germany', weight: 4 },
  { faker: fr, country: 'France', weight: 4 },
  { faker: es, country: 'Spain', weight: 3 },
  { faker: pt, country: 'Brazil', weight: 2 },
  { faker: sv, country: 'Sweden', weight: 2 },
  { faker: pl, country: 'Poland', weight: 2 },
  { faker: tr, country: 'Turkey', weight: 1 }
]
const localeIndex = weighted(Object.fromEntries(locales.map(({ weight }, i) => [i, weight])))
const industries = [
  'Manufacturing',
  'Software',
  'Retail',
  'Health Care',
  'Construction',
  'Logistics',
  'Energy',
  'Finance',
  'Education',
  'Food',
  'Media',
  'Tourism'
]
const sources = weighted({
  website: 6,
  referral: 4,
  'trade show': 2,
  'cold call': 2,
  newsletter: 2,
  'social media': 3,
  partner: 1
})
const products = [
  'Enterprise License',
  'Support Contract',
  'Pilot Project',
  'Training',
  'Migration',
  'Hardware Refresh',
  'Consulting Days',
  'Cloud Subscription',
  'Renewal',
  'Extension'
]
const accountType = weighted<(typeof types)[number]>({
  customer: 5,
  prospect: 4,
  partner: 1,
  vendor: 1
})
const finalStatus = weighted({ new: 4, contacted: 3, qualified: 5, unqualified: 2 })
const leadTransitions: Record<ReturnType<typeof finalStatus>, Prospect['status'][]> = {
  new: [],
  contacted: ['contacted'],
  qualified: ['contacted', 'qualified'],
  unqualified: ['contacted', 'unqualified']
}
const finalStage = weighted({
  prospecting: 4,
  qualification: 3,
  proposal: 3,
  negotiation: 2,
  won: 4,
  lost: 3
})
const openStages = ['prospecting', 'qualification', 'proposal', 'negotiation'] as const
const probabilities = {
  prospecting: 10,
  qualification: 25,
  proposal: 50,
  negotiation: 75,
  won: 100,
  lost: 0
}
const lostReasons = ['price', 'competitor', 'no budget', 'no decision', 'no response']
const subjects: Record<(typeof activityTypes)[number], string[]> = {
  call: ['First call', 'Follow-up call', 'Call about the offer'],
  email: ['Offer sent', 'Question about prices', 'Thank you'],
  meeting: ['Product demo', 'On-site visit', 'Negotiation'],
  task: ['Prepare the offer', 'Check the references', 'Send the contract'],
  note: ['Prefers calls in the morning', 'Met us at a trade show', 'Decides with a colleague']
}
const response = weighted<(typeof responses)[number]>({
  added: 2,
  sent: 6,
  responded: 2,
  declined: 1
})

const day = 86_400_000
const history = 730 * day

/** Generates believable records: the same ones for the same seed and day. */
export class DemoData {
  readonly #today = Math.floor(Date.now() / day) * day

  constructor(seed: number[]) {
    for (const { faker } of locales) faker.seed(seed)
  }

  username(): string {
    return `${ascii(en.person.firstName())}.${ascii(en.person.lastName())}`
  }

  /**
   * `progress` is the position of a record among those of its kind, from 0 (the oldest) to 1. It
   * refers only to records that are older.
   */
  account(progress: number, owners: number[], parents: Company[]) {
    const { faker, country } = this.#locale()
    const name = faker.company.name()
    // a reserved domain, so that nobody is written to by accident
    const domain = `${ascii(name, '-').slice(0, 60)}.example`
    const employees = Math.ceil(spread(20, 1.5))
    return {
      name,
      country,
      industry: en.helpers.arrayElement(industries),
      website: `https://www.${domain}`,
      email: `office@${domain}`,
      phone: phoneOf(faker),
      address: faker.location.streetAddress(),
      city: faker.location.city(),
      state: faker.location.state(),
      postal_code: faker.location.zipCode(),
      annual_revenue: cents(employees * spread(120_000, 0.6)),
      employee_count: employees,
      status: en.datatype.boolean(0.9) ? ('active' as const) : ('inactive' as const),
      type: accountType(),
      parent_account_id: sometimes(0.3, () => older(parents, progress)?.id),
      assigned_to: en.helpers.arrayElement(owners),
      tags: this.#tags(),
      created_at: this.#at(progress)
    }
  }

  contact(progress: number, companies: Company[]) {
    const company = sometimes(0.85, () => older(companies, progress))
    const local = sometimes(0.8, () => locales.find(({ country }) => country === company?.country))
    const { faker } = local ?? this.#locale()
    const first_name = faker.person.firstName()
    const last_name = faker.person.lastName()
    const domain = company ? new URL(company.website).host.replace('www.', '') : 'mail.example'
    return {
      first_name,
      last_name,
      email: sometimes(0.95, () => `${ascii(first_name)}.${ascii(last_name)}@${domain}`),
      phone: sometimes(0.9, () => phoneOf(faker)),
      company: company?.name ?? null,
      position: sometimes(0.8, () => en.person.jobTitle()),
      account_id: company?.id ?? null,
      tags: this.#tags(),
      created_at: this.#at(progress)
    }
  }

  lead(progress: number, owners: number[], people: Person[]) {
    const created_at = this.#at(progress)
    return {
      contact_id: older(people, progress)?.id ?? null,
      source: sources(),
      score: en.number.int({ min: 0, max: 100 }),
      assigned_to: sometimes(0.9, () => en.helpers.arrayElement(owners)),
      tags: this.#tags(),
      created_at,
      moved_at: created_at
    }
  }

  /** The transitions of a new lead, each as the fields it changes. */
  transitionsOfLead({ created_at }: Prospect) {
    const steps = leadTransitions[finalStatus()]
    return this.#instants(created_at, steps.length).map((moved_at, i) => ({
      status: steps[i]!,
      moved_at,
      qualified_at: steps[i] === 'qualified' ? moved_at : null,
      unqualified_reason: steps[i] === 'unqualified' ? en.helpers.arrayElement(lostReasons) : null
    }))
  }

  /** `companyOf` finds the company of a lead. */
  opportunity(
    progress: number,
    owners: number[],
    prospects: Prospect[],
    companyOf: (prospect: Prospect) => Company | undefined
  ) {
    const lead = Array.from({ length: 6 }, () => older(prospects, progress)).find(
      prospect => prospect?.status === 'qualified'
    )
    const company = lead && companyOf(lead)
    const created_at = this.#at(progress)
    const product = en.helpers.arrayElement(products)
    return {
      lead_id: lead?.id ?? null,
      account_id: company?.id ?? null,
      title: company ? `${product} for ${company.name}` : product,
      amount: cents(spread(15_000, 1)),
      stage: 'prospecting',
      probability: probabilities.prospecting,
      close_date: dayOf(en.date.between({ from: this.#today, to: this.#today + 180 * day })),
      assigned_to: en.helpers.arrayElement(owners),
      tags: this.#tags(),
      created_at,
      moved_at: created_at
    }
  }

  /** The transitions of an opportunity in the default pipeline, each as the fields it changes. */
  transitionsOfOpportunity({ created_at }: Sale) {
    const end = finalStage()
    const closes = end === 'won' || end === 'lost'
    const open = openStages.slice(
      1,
      closes ? en.number.int({ min: end === 'won' ? 3 : 1, max: 4 }) : openStages.indexOf(end) + 1
    )
    const steps: (keyof typeof probabilities)[] = closes ? [...open, end] : open
    return this.#instants(created_at, steps.length).map((moved_at, i) => {
      const stage = steps[i]!
      const status = stage === 'won' || stage === 'lost' ? stage : ('open' as const)
      return {
        stage,
        status,
        probability: probabilities[stage],
        moved_at,
        closed_at: status === 'open' ? null : moved_at,
        ...(status !== 'open' && { close_date: moved_at.slice(0, 10) }),
        lost_reason: status === 'lost' ? en.helpers.arrayElement(lostReasons) : null
      }
    })
  }

  activity(
    progress: number,
    owners: number[],
    people: Person[],
    prospects: Prospect[],
    sales: Sale[]
  ) {
    const person = older(people, progress)
    const lead = sometimes(0.3, () => older(prospects, progress))
    const sale = sometimes(0.3, () => older(sales, progress))
    const account_id = person?.account_id ?? sale?.account_id
    const links: Link[] = [
      ...(person ? [{ type: 'contact' as const, id: person.id }] : []),
      ...(lead ? [{ type: 'lead' as const, id: lead.id }] : []),
      ...(account_id ? [{ type: 'account' as const, id: account_id }] : []),
      ...(sale ? [{ type: 'opportunity' as const, id: sale.id }] : [])
    ]
    const type = en.helpers.arrayElement(activityTypes)
    const done = type === 'note' || en.datatype.boolean(0.85)
    const created_at = this.#at(progress)
    const due = new Date(
      Math.min(
        Date.parse(created_at) + en.number.int({ min: 1, max: 14 }) * day,
        this.#today + 14 * day
      )
    )
    return {
      type,
      subject: en.helpers.arrayElement(subjects[type]),
      status: done ? ('completed' as const) : ('planned' as const),
      priority: en.helpers.arrayElement(['low', 'medium', 'medium', 'high'] as const),
      due_at: type === 'note' ? null : due.toISOString(),
      completed_at: done ? new Date(Math.min(due.getTime(), this.#today)).toISOString() : null,
      duration_minutes:
        type === 'call' || type === 'meeting' ? en.number.int({ min: 1, max: 18 }) * 5 : null,
      assigned_to: en.helpers.arrayElement(owners),
      links,
      created_at
    }
  }

  campaign(progress: number, owners: number[]) {
    const type = en.helpers.arrayElement(campaignTypes)
    const created_at = this.#at(progress)
    const start = Date.parse(created_at) + 14 * day
    return {
      name: `${en.commerce.productAdjective()} ${type} of ${created_at.slice(0, 7)}`,
      type,
      status: start < this.#today - 30 * day ? ('completed' as const) : ('active' as const),
      start_date: dayOf(new Date(start)),
      end_date: dayOf(new Date(start + 30 * day)),
      budget: cents(spread(5_000, 0.8)),
      assigned_to: en.helpers.arrayElement(owners),
      created_at
    }
  }

  member(progress: number, campaigns: { id: number }[], people: Person[], prospects: Prospect[]) {
    const lead = sometimes(0.4, () => older(prospects, progress))
    const status = response()
    const created_at = this.#at(progress)
    return {
      campaign_id: en.helpers.arrayElement(campaigns).id,
      contact_id: lead ? null : en.helpers.arrayElement(people).id,
      lead_id: lead?.id ?? null,
      status,
      responded_at: status === 'responded' || status === 'declined' ? created_at : null,
      created_at
    }
  }

  /** The tags to draw from. */
  tags: number[] = []

  #tags(): number[] {
    return en.datatype.boolean(0.15) ? en.helpers.arrayElements(this.tags, { min: 1, max: 2 }) : []
  }

  /** `count` instants between `since` and today, in order. */
  #instants(since: string, count: number): string[] {
    return en.date
      .betweens({
        from: since,
        to: Math.max(this.#today, Date.parse(since) + 1),
        count: Math.max(count, 1)
      })
      .slice(0, count)
      .map(date => date.toISOString())
  }

  #locale(): Locale {
    return locales[Number(localeIndex())]!
  }

  /** Recent times are more frequent. */
  #at(progress: number): string {
    return new Date(this.#today - history * (1 - Math.sqrt(progress))).toISOString()
  }
}
