import type { SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Context } from '../../../core/access/context.ts'
import { defaultsOf } from '../../../core/db/columns.ts'
import { and, getTableName, sql } from '../../../core/db/drizzle.ts'
import { compile, everyRow, ours, reached } from '../../../core/db/sql.ts'
import { ruleBroken } from '../../../core/errors.ts'
import { columnCondition, type Filter } from '../../../core/records/filter.ts'
import { isHidden } from '../../../core/records/visibility.ts'
import { contacts } from '../../crm/contacts/table.ts'
import { leads } from '../../crm/leads/table.ts'
import { languages, ruleFields } from './languages.ts'
import type { Bands, ScoringRule } from './table.ts'

type Subject = keyof typeof languages

/** A rule as filters on one field of the lead or its contact, all of which must match. */
interface CompiledRule {
  subject: Subject
  field: string
  filters: Filter[]
  points: number
}

/**
 * Errors: 422 at the field, operator or value of the rule, whose place in the body is `pointer`.
 */
function compileRule(
  { field, operator, value, points }: ScoringRule,
  pointer: string
): CompiledRule {
  const subject = field.startsWith(languages.contact.prefix) ? 'contact' : 'lead'
  const { prefix, fields, language } = languages[subject]
  const name = field.slice(prefix.length)
  if (!fields.includes(name))
    throw ruleBroken(`${pointer}/field`, `A rule can only use ${ruleFields.join(', ')}.`, {
      rule: 'field',
      allowed: ruleFields
    })
  const parameter = operator === 'eq' ? name : `${name}[${operator}]`
  if (!language.has(parameter))
    throw ruleBroken(`${pointer}/operator`, `There is no filter ${parameter}.`, {
      rule: 'operator',
      filter: parameter
    })
  const text = new URLSearchParams([[parameter, value]]).toString()
  const filters = language.parseStored(text, `${pointer}/value`)
  return { subject, field: name, filters, points }
}

const compileEach = (rules: ScoringRule[]) =>
  rules.map((rule, i) => compileRule(rule, `rules/${i}`))

/**
 * The score tells what the rules look at, also of a contact that its readers do not reach. Errors:
 * 422 at the first rule that is not a filter of its list, or not for the caller.
 */
export function assertRules(ctx: Context, rules: ScoringRule[]): void {
  for (const [i, rule] of compileEach(rules).entries())
    if (isHidden(ctx, columnOf(rule)) || !ctx.can(`${languages[rule.subject].path}:read`))
      throw ruleBroken(`rules/${i}/field`, 'There is no such field.', { rule: 'field' })
}

/** The grade of a score. */
export function gradeOf(score: number, { A, B, C }: Bands): 'A' | 'B' | 'C' | 'D' {
  if (score >= A) return 'A'
  if (score >= B) return 'B'
  return score >= C ? 'C' : 'D'
}

const columnOf = ({ subject, field }: CompiledRule) => languages[subject].columns[field]!

/** The value that a rule looks at, if the caller may read the contact that has it. */
const shownValueOf = (rule: CompiledRule): SQL =>
  sql`case when ${isShown(rule)} then ${columnOf(rule)} end`

/** Otherwise, rules of one's own would tell what is in the contact. */
const shownMatchOf = (rule: CompiledRule): SQL =>
  sql`(coalesce(${isShown(rule)}, false) and ${matchOf(rule)})`

const isShown = ({ subject }: CompiledRule): SQL =>
  subject === 'contact' ? reached('read', getTableName(contacts)) : sql`true`

const withContact = sql`left join ${everyRow(contacts)} on ${contacts.id} = ${leads.contact_id}`

/**
 * Of the lead `id`: `score`, and for each rule `match0` …, whether it matches, and `value0` …, the
 * value it looks at; a rule about a column that `isSeen` denies matches nothing.
 */
export function explanationOf(
  rules: ScoringRule[],
  id: number,
  isSeen: (column: PgColumn) => boolean
): SQL {
  const explained = compileEach(rules).map((rule, i) => {
    const seen = isSeen(columnOf(rule))
    return sql`${seen ? shownMatchOf(rule) : sql`false`} as ${sql.identifier(`match${i}`)},
      ${seen ? shownValueOf(rule) : sql`null`} as ${sql.identifier(`value${i}`)}`
  })
  const columns = sql.join([sql`${leads.score}`, ...explained], sql`, `)
  return sql`select ${columns} from ${ours(leads)} ${withContact} where ${leads.id} = ${id}`
}

/** Days of rules are those of UTC: a score must not depend on who computes it. */
const inUtc = ({ isDay: _, ...filter }: Filter): Filter => filter

/** A lead without a contact matches no rule about contacts, not even one about a missing email. */
function matchOf(rule: CompiledRule): SQL {
  const column = columnOf(rule)
  const matches = and(
    ...rule.filters.map(filter =>
      columnCondition(column, inUtc(filter), sql`${sql.param(filter.value)}`)
    )
  )!
  const isPresent = rule.subject === 'contact' ? sql`${contacts.id} is not null and ` : sql``
  return sql`coalesce(${isPresent}${matches}, false)`
}

export interface ScoredLead {
  id: number
  version: number
  score: number
  grade: 'A' | 'B' | 'C' | 'D' | null
  points: number
}

/**
 * Rules as SQL: whether a lead is in the lists whose filters they are; in one form for a lead that
 * is not stored yet, and for a batch to score.
 */
export function compileRules(rules: ScoringRule[]) {
  const compiled = compileEach(rules)
  const matches = compiled.map(matchOf)
  const points = matches.map(
    (match, i) => sql`case when ${match} then ${compiled[i]!.points}::int else 0 end`
  )
  const sum = sql.join([sql`0`, ...points], sql` + `)
  const batch = (condition: SQL) =>
    compile<ScoredLead>(
      sql`select ${leads.id}, ${leads.version}, ${leads.score}, ${leads.grade}, ${sum} as points
        from ${everyRow(leads)} ${withContact}
        where ${leads.id} > ${sql.placeholder('after')}::bigint ${condition}
        order by ${leads.id} limit ${sql.placeholder('limit')}::int`,
      false
    )
  return {
    usesContacts: compiled.some(({ subject }) => subject === 'contact'),
    /** The points of a lead as it would be stored: `lead` is its JSON, see `storedForm`. */
    points: compile<{ points: number }>(
      sql`select ${sum} as points
        from jsonb_populate_record(null::${leads}, ${sql.placeholder('lead')}::text::jsonb) ${leads}
        ${withContact}`,
      false
    ),
    /** The next leads after the ID `after`, at most `limit`; or those of some `contacts`. */
    batch: batch(sql``),
    batchOfContacts: batch(
      sql`and ${leads.contact_id} = any(${sql.placeholder('contacts')}::bigint[])`
    )
  }
}

const defaults = defaultsOf(leads)

/** A lead as it would be stored, as JSON, from the fields that are given. */
export const storedForm = (lead: object): string => JSON.stringify({ ...defaults, ...lead })
