import type { SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Context } from '../../../core/access/context.ts'
import { query, run } from '../../../core/db/database.ts'
import { and, sql } from '../../../core/db/drizzle.ts'
import type { Match } from '../../../core/errors.ts'
import { lists } from '../../../core/records/list.ts'
import { accounts } from '../../crm/accounts/table.ts'
import { contacts } from '../../crm/contacts/table.ts'

/** Where duplicates are looked for: what a record is called, and the fields that say, each set for itself, that two records are one. */
const kinds = {
  contact: {
    table: contacts,
    ...lists('contact', contacts),
    title: sql`concat_ws(' ', ${contacts.first_name}, ${contacts.last_name})`,
    signs: [['email'], ['first_name', 'last_name', 'company']]
  },
  account: {
    table: accounts,
    ...lists('account', accounts),
    title: sql`${accounts.name}`,
    signs: [['name'], ['website']]
  }
}
type Kind = keyof typeof kinds

/** The domain of a website, which may stand there without its scheme. */
const domain = '^(?:[a-z][a-z0-9+.-]*://)?(?:www[.])?([^/:?#]+)'
const domainOf = (website: string) => new RegExp(domain).exec(website.toLowerCase())?.[1] ?? ''

const most = 10

/** The records that a new one would probably repeat: at most ten for each sign of it. Case and accents make no difference. */
export async function duplicatesOf(
  ctx: Context,
  type: Kind,
  record: Record<string, unknown>
): Promise<Match[]> {
  const found = await Promise.all(
    kinds[type].signs.map(async by =>
      (await alike(ctx, type, by, record)).map(match => ({ type, ...match, by }))
    )
  )
  const matches = new Map<number, Match>()
  for (const match of found.flat())
    matches.set(match.id, { ...match, by: [...(matches.get(match.id)?.by ?? []), ...match.by] })
  return [...matches.values()].toSorted((a, b) => a.id - b.id)
}

/** The records that have the same in all of these fields. `like` finds the candidates on the index of the search. */
async function alike(
  ctx: Context,
  type: Kind,
  fields: string[],
  record: Record<string, unknown>
): Promise<{ id: number; name: string }[]> {
  const { table, where: conditions, title } = kinds[type]
  const wanted = fields.map(field => ({
    field,
    text: field === 'website' ? domainOf(textOf(record[field])) : textOf(record[field])
  }))
  if (wanted.some(({ text }) => text === '')) return []
  const { where, values } = conditions(ctx, {
    filters: wanted.map(({ field, text }) => ({ field, operator: 'like', value: text }))
  })
  const same = wanted.map(({ field, text }) => {
    const column = (table as unknown as Record<string, PgColumn>)[field]!
    return sql`${normal(field === 'website' ? sql`substring(lower(${column}) from ${domain}::text)` : sql`${column}`)} = ${normal(sql`${text}::text`)}`
  })
  const found = query<{ id: number; name: string }>(
    sql`select ${table.id}, ${title} as name from ${table} where ${and(where, ...same)!} limit ${most}`,
    false
  )
  return await run(ctx.connection, found, values)
}

const textOf = (value: unknown) => (typeof value === 'string' ? value.trim() : '')
const normal = (text: SQL) => sql`search_normal(${text})`
