import type { Faker } from '@faker-js/faker'
import { faker as de } from '@faker-js/faker/locale/de'
import { faker as en } from '@faker-js/faker/locale/en'
import { faker as es } from '@faker-js/faker/locale/es'
import { faker as fr } from '@faker-js/faker/locale/fr'
import { faker as pl } from '@faker-js/faker/locale/pl'
import { faker as pt } from '@faker-js/faker/locale/pt_BR'
import { faker as sv } from '@faker-js/faker/locale/sv'
import { faker as tr } from '@faker-js/faker/locale/tr'
import { types as accountTypes } from '../../src/modules/crm/accounts/table.ts'
import { types as activityTypes, type Link } from '../../src/modules/crm/activities/table.ts'
import { statuses as leadStatuses } from '../../src/modules/crm/leads/table.ts'
import { statuses as memberStatuses } from '../../src/modules/marketing/campaign-members/table.ts'
import { types as campaignTypes } from '../../src/modules/marketing/campaigns/table.ts'
import {
  dateOf,
  logNormal,
  maybe,
  phoneOf,
  pickEarlier,
  roundToCents,
  toAscii,
  weighted
} from './random.ts'

/** The fields of records that later records depend on. Arrays of records are in order of age. */
export interface AccountRef {
  id: number
  name: string
  website: string
  country: string
  created_at: string
}
export interface ContactRef {
  id: number
  account_id: number | null
}
export interface LeadRef {
  id: number
  contact_id: number | null
  status: (typeof leadStatuses)[number]
  created_at: string
}
export interface OpportunityRef {
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
const pickLocaleIndex = weighted(Object.fromEntries(locales.map(({ weight }, i) => [i, weight])))
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
const pickSource = weighted({
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
const pickAccountType = weighted<(typeof accountTypes)[number]>({
  customer: 5,
  prospect: 4,
  partner: 1,
  vendor: 1
})
const pickLeadStatus = weighted({ new: 4, contacted: 3, qualified: 5, unqualified: 2 })
const leadTransitions: Record<ReturnType<typeof pickLeadStatus>, LeadRef['status'][]> = {
  new: [],
  contacted: ['contacted'],
  qualified: ['contacted', 'qualified'],
  unqualified: ['contacted', 'unqualified']
}
const pickFinalStage = weighted({
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
type Stage = keyof typeof probabilities
const lostReasons = ['price', 'competitor', 'no budget', 'no decision', 'no response']
const subjects: Record<(typeof activityTypes)[number], string[]> = {
  call: ['First call', 'Follow-up call', 'Call about the offer'],
  email: ['Offer sent', 'Question about prices', 'Thank you'],
  meeting: ['Product demo', 'On-site visit', 'Negotiation'],
  task: ['Prepare the offer', 'Check the references', 'Send the contract'],
  note: ['Prefers calls in the morning', 'Met us at a trade show', 'Decides with a colleague']
}
const pickMemberStatus = weighted<(typeof memberStatuses)[number]>({
  added: 2,
  sent: 6,
  responded: 2,
  declined: 1
})

const day = 86_400_000
const historyLength = 730 * day

/** Generates realistic records: the same ones for the same seed and day. */
export class DemoData {
  /** IDs of the tags that records can have. */
  tags: number[] = []
  readonly #today = Math.floor(Date.now() / day) * day

  constructor(seed: number[]) {
    for (const { faker } of locales) faker.seed(seed)
  }

  username(): string {
    return `${toAscii(en.person.firstName())}.${toAscii(en.person.lastName())}`
  }

  /**
   * `recency` is the position of a record among those of its resource, from 0 (oldest) to 1
   * (newest). Records refer only to older ones.
   */
  account(recency: number, owners: number[], parents: AccountRef[]) {
    const { faker, country } = this.#locale()
    const name = faker.company.name()
    // a reserved top-level domain (RFC 2606): no email reaches a real person
    const domain = `${toAscii(name, '-').slice(0, 60)}.example`
    const employees = Math.ceil(logNormal(20, 1.5))
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
      annual_revenue: roundToCents(employees * logNormal(120_000, 0.6)),
      employee_count: employees,
      status: en.datatype.boolean(0.9) ? ('active' as const) : ('inactive' as const),
      type: pickAccountType(),
      parent_account_id: maybe(0.3, () => pickEarlier(parents, recency)?.id),
      assigned_to: en.helpers.arrayElement(owners),
      tags: this.#tags(),
      created_at: this.#at(recency)
    }
  }

  contact(recency: number, owners: number[], accounts: AccountRef[]) {
    const account = maybe(0.85, () => pickEarlier(accounts, recency))
    const sameCountry = maybe(0.8, () =>
      locales.find(({ country }) => country === account?.country)
    )
    const { faker } = sameCountry ?? this.#locale()
    const first_name = faker.person.firstName()
    const last_name = faker.person.lastName()
    const domain = account ? new URL(account.website).host.replace('www.', '') : 'mail.example'
    return {
      first_name,
      last_name,
      email: maybe(0.95, () => `${toAscii(first_name)}.${toAscii(last_name)}@${domain}`),
      phone: maybe(0.9, () => phoneOf(faker)),
      company: account?.name ?? null,
      position: maybe(0.8, () => en.person.jobTitle()),
      account_id: account?.id ?? null,
      assigned_to: maybe(0.9, () => en.helpers.arrayElement(owners)),
      tags: this.#tags(),
      created_at: this.#at(recency)
    }
  }

  lead(recency: number, owners: number[], contacts: ContactRef[]) {
    const created_at = this.#at(recency)
    return {
      contact_id: pickEarlier(contacts, recency)?.id ?? null,
      source: pickSource(),
      score: en.number.int({ min: 0, max: 100 }),
      assigned_to: maybe(0.9, () => en.helpers.arrayElement(owners)),
      tags: this.#tags(),
      created_at,
      moved_at: created_at
    }
  }

  /** Transitions of a new lead, each as the fields that it changes. */
  transitionsOfLead({ created_at }: LeadRef) {
    const steps = leadTransitions[pickLeadStatus()]
    return this.#instants(created_at, steps.length).map((moved_at, i) => ({
      status: steps[i]!,
      moved_at,
      qualified_at: steps[i] === 'qualified' ? moved_at : null,
      unqualified_reason: steps[i] === 'unqualified' ? en.helpers.arrayElement(lostReasons) : null
    }))
  }

  /** `accountOf` returns the account that the contact of a lead belongs to. */
  opportunity(
    recency: number,
    owners: number[],
    leads: LeadRef[],
    accountOf: (lead: LeadRef) => AccountRef | undefined
  ) {
    const lead = Array.from({ length: 6 }, () => pickEarlier(leads, recency)).find(
      lead => lead?.status === 'qualified'
    )
    const account = lead && accountOf(lead)
    const created_at = this.#at(recency)
    const product = en.helpers.arrayElement(products)
    return {
      lead_id: lead?.id ?? null,
      account_id: account?.id ?? null,
      title: account ? `${product} for ${account.name}` : product,
      amount: roundToCents(logNormal(15_000, 1)),
      stage: 'prospecting',
      probability: probabilities.prospecting,
      close_date: dateOf(en.date.between({ from: this.#today, to: this.#today + 180 * day })),
      assigned_to: en.helpers.arrayElement(owners),
      tags: this.#tags(),
      created_at,
      moved_at: created_at
    }
  }

  /** Transitions of an opportunity in the default pipeline, each as the fields that it changes. */
  transitionsOfOpportunity({ created_at }: OpportunityRef) {
    const steps = stagesAfterFirst(pickFinalStage())
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
    recency: number,
    owners: number[],
    contacts: ContactRef[],
    leads: LeadRef[],
    opportunities: OpportunityRef[]
  ) {
    const contact = pickEarlier(contacts, recency)
    const lead = maybe(0.3, () => pickEarlier(leads, recency))
    const opportunity = maybe(0.3, () => pickEarlier(opportunities, recency))
    const account_id = contact?.account_id ?? opportunity?.account_id
    const links: Link[] = [
      ...(contact ? [{ type: 'contact' as const, id: contact.id }] : []),
      ...(lead ? [{ type: 'lead' as const, id: lead.id }] : []),
      ...(account_id ? [{ type: 'account' as const, id: account_id }] : []),
      ...(opportunity ? [{ type: 'opportunity' as const, id: opportunity.id }] : [])
    ]
    const type = en.helpers.arrayElement(activityTypes)
    const done = type === 'note' || en.datatype.boolean(0.85)
    const created_at = this.#at(recency)
    const days = en.number.int({ min: 1, max: 14 })
    const due = Math.min(Date.parse(created_at) + days * day, this.#today + 14 * day)
    return {
      type,
      subject: en.helpers.arrayElement(subjects[type]),
      status: done ? ('completed' as const) : ('planned' as const),
      priority: en.helpers.arrayElement(['low', 'medium', 'medium', 'high'] as const),
      due_at: type === 'note' ? null : new Date(due).toISOString(),
      completed_at: done ? new Date(Math.min(due, this.#today)).toISOString() : null,
      duration_minutes:
        type === 'call' || type === 'meeting' ? en.number.int({ min: 1, max: 18 }) * 5 : null,
      assigned_to: en.helpers.arrayElement(owners),
      links,
      created_at
    }
  }

  campaign(recency: number, owners: number[]) {
    const type = en.helpers.arrayElement(campaignTypes)
    const created_at = this.#at(recency)
    const start = Date.parse(created_at) + 14 * day
    return {
      name: `${en.commerce.productAdjective()} ${type} of ${created_at.slice(0, 7)}`,
      type,
      status: start < this.#today - 30 * day ? ('completed' as const) : ('active' as const),
      start_date: dateOf(new Date(start)),
      end_date: dateOf(new Date(start + 30 * day)),
      budget: roundToCents(logNormal(5_000, 0.8)),
      assigned_to: en.helpers.arrayElement(owners),
      created_at
    }
  }

  member(recency: number, campaigns: { id: number }[], contacts: ContactRef[], leads: LeadRef[]) {
    const lead = maybe(0.4, () => pickEarlier(leads, recency))
    const status = pickMemberStatus()
    const created_at = this.#at(recency)
    return {
      campaign_id: en.helpers.arrayElement(campaigns).id,
      contact_id: lead ? null : en.helpers.arrayElement(contacts).id,
      lead_id: lead?.id ?? null,
      status,
      responded_at: status === 'responded' || status === 'declined' ? created_at : null,
      created_at
    }
  }

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
    return locales[Number(pickLocaleIndex())]!
  }

  /** The instant of a record: recent ones are more frequent. */
  #at(recency: number): string {
    return new Date(this.#today - historyLength * (1 - Math.sqrt(recency))).toISOString()
  }
}

/** The stages from the second one to `final`. Lost opportunities skip some. */
function stagesAfterFirst(final: Stage): Stage[] {
  if (final !== 'won' && final !== 'lost') return openStages.slice(1, openStages.indexOf(final) + 1)
  const end = en.number.int({ min: final === 'won' ? 3 : 1, max: 4 })
  return [...openStages.slice(1, end), final]
}
