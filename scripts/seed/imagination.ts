import type { Faker } from '@faker-js/faker'
import { faker as de } from '@faker-js/faker/locale/de'
import { faker as en } from '@faker-js/faker/locale/en'
import { faker as es } from '@faker-js/faker/locale/es'
import { faker as fr } from '@faker-js/faker/locale/fr'
import { faker as pl } from '@faker-js/faker/locale/pl'
import { faker as pt } from '@faker-js/faker/locale/pt_BR'
import { faker as sv } from '@faker-js/faker/locale/sv'
import { faker as tr } from '@faker-js/faker/locale/tr'
import { types } from '../../src/resources/accounts/table.ts'
import { statuses } from '../../src/resources/leads/table.ts'

/** What is remembered of the records made so far, oldest first. */
export interface Company { id: number, name: string, website: string, country: string, created_at: string }
export interface Person { id: number, account_id: number | null }
export interface Prospect { id: number, contact_id: number, status: typeof statuses[number] }

interface Land { faker: Faker, country: string, weight: number }
const lands: Land[] = [
  { faker: en, country: 'United States', weight: 8 }, { faker: de, country: 'Germany', weight: 4 }, { faker: fr, country: 'France', weight: 4 },
  { faker: es, country: 'Spain', weight: 3 }, { faker: pt, country: 'Brazil', weight: 2 }, { faker: sv, country: 'Sweden', weight: 2 },
  { faker: pl, country: 'Poland', weight: 2 }, { faker: tr, country: 'Turkey', weight: 1 }
]
const land = weighted(Object.fromEntries(lands.map(({ weight }, i) => [i, weight])))
const industries = ['Manufacturing', 'Software', 'Retail', 'Health Care', 'Construction', 'Logistics', 'Energy', 'Finance', 'Education', 'Food', 'Media', 'Tourism']
const sources = weighted({ 'website': 6, 'referral': 4, 'trade show': 2, 'cold call': 2, 'newsletter': 2, 'social media': 3, 'partner': 1 })
const products = ['Enterprise Licence', 'Support Contract', 'Pilot Project', 'Training', 'Migration', 'Hardware Refresh', 'Consulting Days', 'Cloud Subscription', 'Renewal', 'Extension']
const accountType = weighted<typeof types[number]>({ customer: 5, prospect: 4, partner: 1, vendor: 1 })
const leadStatus = weighted<Prospect['status']>({ new: 4, contacted: 3, qualified: 3, unqualified: 2, converted: 2 })
const stageOf = weighted({ prospecting: 4, qualification: 3, proposal: 3, negotiation: 2, won: 4, lost: 3 })
const probabilities = { prospecting: 10, qualification: 25, proposal: 50, negotiation: 75, won: 100, lost: 0 }

const day = 86_400_000
const history = 730 * day

/** Invents believable records: the same ones for the same seed, up to the day on which their dates end. */
export class Imagination {
  readonly #today = Math.floor(Date.now() / day) * day

  constructor (seed: number[]) {
    for (const { faker } of lands) faker.seed(seed)
  }

  username (): string {
    return `${ascii(en.person.firstName())}.${ascii(en.person.lastName())}`
  }

  /** `age` is how far the past has been told, from 0 to 1: what is invented belongs to others that are no younger. */
  account (age: number, owners: number[], parents: Company[]) {
    const { faker, country } = this.#land()
    const name = faker.company.name()
    const domain = `${ascii(name, '-').slice(0, 60)}.example` // a reserved domain: nobody can be written to by accident
    const employees = Math.ceil(spread(20, 1.5))
    return {
      name, country, industry: en.helpers.arrayElement(industries), website: `https://www.${domain}`, email: `office@${domain}`, phone: phone(faker),
      address: faker.location.streetAddress(), city: faker.location.city(), state: faker.location.state(), postal_code: faker.location.zipCode(),
      annual_revenue: cents(employees * spread(120_000, 0.6)), employee_count: employees,
      status: en.datatype.boolean(0.9) ? 'active' as const : 'inactive' as const, type: accountType(),
      parent_account_id: sometimes(0.3, () => older(parents, age)?.id), assigned_to: en.helpers.arrayElement(owners), created_at: this.#at(age)
    }
  }

  contact (age: number, companies: Company[]) {
    const company = sometimes(0.85, () => older(companies, age))
    const at_home = sometimes(0.8, () => lands.find(({ country }) => country === company?.country))
    const { faker } = at_home ?? this.#land()
    const first_name = faker.person.firstName()
    const last_name = faker.person.lastName()
    const domain = company ? new URL(company.website).host.replace('www.', '') : 'mail.example'
    return {
      first_name, last_name,
      email: sometimes(0.95, () => `${ascii(first_name)}.${ascii(last_name)}@${domain}`),
      phone: sometimes(0.9, () => phone(faker)),
      company: company?.name ?? null, position: sometimes(0.8, () => en.person.jobTitle()), account_id: company?.id ?? null, created_at: this.#at(age)
    }
  }

  lead (age: number, owners: number[], people: Person[]) {
    const status = leadStatus()
    const [least, most] = { new: [0, 40], contacted: [10, 60], qualified: [50, 100], unqualified: [0, 30], converted: [60, 100] }[status] as [number, number]
    return {
      contact_id: older(people, age)?.id ?? null, source: sources(), status, score: en.number.int({ min: least, max: most }),
      assigned_to: sometimes(0.9, () => en.helpers.arrayElement(owners)), created_at: this.#at(age)
    }
  }

  /** `companyOf` finds the company that a lead is about. */
  opportunity (age: number, owners: number[], prospects: Prospect[], companyOf: (prospect: Prospect) => Company | undefined) {
    const lead = Array.from({ length: 6 }, () => older(prospects, age)).find(prospect => prospect && ['qualified', 'converted'].includes(prospect.status))
    const company = lead && companyOf(lead)
    const stage = stageOf()
    const created = this.#at(age)
    const closes = stage === 'won' || stage === 'lost'
      ? en.date.between({ from: created, to: this.#today })
      : en.date.between({ from: this.#today, to: this.#today + 180 * day })
    const product = en.helpers.arrayElement(products)
    return {
      lead_id: lead?.id ?? null, account_id: company?.id ?? null, title: company ? `${product} for ${company.name}` : product, amount: cents(spread(15_000, 1)),
      stage, probability: probabilities[stage], close_date: closes.toISOString().slice(0, 10), assigned_to: en.helpers.arrayElement(owners), created_at: created
    }
  }

  #land (): Land {
    return lands[Number(land())]!
  }

  /** There is more of everything towards the present. */
  #at (age: number): string {
    return new Date(this.#today - history * (1 - Math.sqrt(age))).toISOString()
  }
}

/** Draws from the keys, each as often as its number says. */
function weighted<Key extends string> (weights: Record<Key, number>): () => Key {
  const bag = Object.entries<number>(weights).flatMap(([key, weight]) => Array.from({ length: weight }, () => key as Key))
  return () => en.helpers.arrayElement(bag)
}

/** One of those made by then, rather one of the first: some have many relations and most have few. */
function older<T> (made: T[], age: number): T | undefined {
  const count = Math.floor(age * made.length) - 1
  return count > 0 ? made[Math.floor(en.number.float({ max: 0.999_999 }) ** 1.5 * count)] : undefined
}

const sometimes = <T> (chance: number, make: () => T | undefined): T | null => en.datatype.boolean(chance) ? make() ?? null : null

/** Around `middle`, with a long tail: amounts of money and sizes of companies are log-normal. */
function spread (middle: number, sigma: number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - en.number.float({ max: 0.999_999 }))) * Math.cos(2 * Math.PI * en.number.float())
  return middle * Math.exp(sigma * normal)
}

const cents = (amount: number) => Math.min(Math.round(amount * 100) / 100, 90_000_000)
const phone = (faker: Faker) => faker.phone.number({ style: 'international' }).slice(0, 20)

const letters: Record<string, string> = { ß: 'ss', ø: 'o', ł: 'l', æ: 'ae', œ: 'oe', ı: 'i', đ: 'd' }
/** `Gonçalves & Łuczak` as `goncalvesluczak`, or with `-` between its words. */
const ascii = (text: string, between = '') => text.toLowerCase().normalize('NFD').replace(/[ßøłæœıđ]/g, letter => letters[letter]!)
  .replaceAll(/[\u0300-\u036f]/g, '').replaceAll(/[^a-z0-9]+/g, ' ').trim().replaceAll(' ', between)
