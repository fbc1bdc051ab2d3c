import type { SQL } from 'drizzle-orm'
import { defaultsOf, shownColumns } from '../../../core/db/columns.ts'
import { query } from '../../../core/db/database.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { ruleBroken } from '../../../core/errors.ts'
import { exactly, type Filter } from '../../../core/records/filter.ts'
import { contacts } from '../../crm/contacts/table.ts'
import { leads } from '../../crm/leads/table.ts'
import { languages, ruleFields } from './schema.ts'
import type { Bands, Rule } from './table.ts'

const place = (name: string) => sql.placeholder(name)
const tables = { lead: shownColumns(leads), contact: shownColumns(contacts) }
type Subject = keyof typeof tables

/** A rule as a filter on the lead or its contact; `place` is the rule's in the body. Errors: 422 at the field, operator or value. */
function filterOf(
  { field, operator, value }: Rule,
  place: string
): { of: Subject; filter: Filter } {
  const of: Subject = field.startsWith(languages.contact.prefix) ? 'contact' : 'lead'
  const { prefix, fields, language } = languages[of]
  const name = field.slice(prefix.length)
  if (!fields.includes(name))
    throw ruleBroken(`${place}/field`, `A rule can ask for ${ruleFields.join(', ')}.`)
  const parameter = operator === 'eq' ? name : `${name}[${operator}]`
  if (!(parameter in language.parameters))
    throw ruleBroken(`${place}/operator`, `Lists have no filter ${parameter}.`)
  const [filter] = language.parse(
    new URLSearchParams([[parameter, value]]).toString(),
    `${place}/value`
  )
  return { of, filter: filter! }
}

/** Errors: 422 at the first rule that is no filter of the list it names. */
export const checkRules = (rules: Rule[]): void => {
  for (const [i, rule] of rules.entries()) filterOf(rule, `rules/${i}`)
}

export const gradeOf = (score: number, { A, B, C }: Bands) =>
  score >= A ? 'A' : score >= B ? 'B' : score >= C ? 'C' : 'D'

/**
 * Rules as SQL: whether a lead is in the lists whose filters they are. A lead without a contact is in no list of contacts, not even
 * in one of those without an e-mail. One way to say it for a lead that is not yet stored, one to explain and a batch to score anew.
 */
export function compileRules(rules: Rule[]) {
  const filters = rules.map((rule, i) => ({ ...filterOf(rule, `rules/${i}`), points: rule.points }))
  const columnOf = ({ of, filter }: { of: Subject; filter: Filter }) => tables[of][filter.field]!
  const matched = filters.map(({ of, filter }) => {
    const holds = exactly(columnOf({ of, filter }), filter, sql`${sql.param(filter.value)}`)
    return sql`coalesce(${of === 'lead' ? holds : sql`${contacts.id} is not null and ${holds}`}, false)`
  })
  const sum = sql.join(
    [
      sql`0`,
      ...matched.map(
        (holds, i) => sql`case when ${holds} then ${filters[i]!.points}::int else 0 end`
      )
    ],
    sql` + `
  )
  const contact = sql`left join ${contacts} on ${contacts.organization_id} = ${place('organization')}::bigint
    and ${contacts.id} = ${leads.contact_id} and ${contacts.deleted_at} is null`
  const alive = sql`${leads.organization_id} = ${place('organization')}::bigint and ${leads.deleted_at} is null`
  const batch = (among: SQL) =>
    query<{ id: number; version: number; score: number; grade: string | null; points: number }>(
      sql`
    select ${leads.id}, ${leads.version}, ${leads.score}, ${leads.grade}, ${sum} as points from ${leads} ${contact}
    where ${alive} and ${leads.id} > ${place('after')}::bigint ${among} order by ${leads.id} limit ${place('limit')}::int`,
      false
    )

  return {
    asksContacts: filters.some(({ of }) => of === 'contact'),
    /** Of a lead as it would be stored: `lead` is its JSON, see `wouldBe`. */
    points: query<{ points: number }>(
      sql`select ${sum} as points from jsonb_populate_record(null::${leads}, ${place('lead')}::text::jsonb) ${leads} ${contact}`,
      false
    ),
    /** Of the lead `id`: `m0` … whether a rule holds, `a0` … the value it looks at. */
    explanation: query<Record<string, unknown>>(
      sql`select ${sql.join(
        [
          sql`${leads.score}`,
          ...matched.map((holds, i) => sql`${holds} as ${sql.identifier(`m${i}`)}`),
          ...filters.map((filter, i) => sql`${columnOf(filter)} as ${sql.identifier(`a${i}`)}`)
        ],
        sql`, `
      )} from ${leads} ${contact} where ${alive} and ${leads.id} = ${place('id')}::bigint`,
      false
    ),
    /** Of the next leads `after` a number, `limit` at the most, of those of some `contacts`. */
    batch: batch(sql``),
    batchOfContacts: batch(sql`and ${leads.contact_id} = any(${place('contacts')}::bigint[])`)
  }
}

const defaults = defaultsOf(leads)
/** A lead as it would be stored, of what is known of it. */
export const wouldBe = (lead: object): string => JSON.stringify({ ...defaults, ...lead })
