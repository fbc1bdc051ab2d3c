import type { SQL } from 'drizzle-orm'
import type { Context } from '../../../core/access/context.ts'
import { columnNamed } from '../../../core/db/columns.ts'
import { and, sql } from '../../../core/db/drizzle.ts'
import type { Match } from '../../../core/errors.ts'
import { repository } from '../../../core/records/repository.ts'
import type { Resource } from '../../../core/records/resource.ts'
import { accountResource } from '../../crm/accounts/resource.ts'
import { contactResource } from '../../crm/contacts/resource.ts'

interface Kind {
  resource: Resource
  /** Sets of fields: records with equal values in all fields of one set are duplicates. */
  signs: string[][]
}

const kinds = {
  account: { resource: accountResource, signs: [['name'], ['website']] },
  contact: {
    resource: contactResource,
    signs: [['email'], ['first_name', 'last_name', 'company']]
  }
} satisfies Record<string, Kind>

/**
 * The domain of a website, with or without a scheme, as a pattern of both JavaScript and Postgres.
 */
const domain = '^(?:[a-z][a-z0-9+.-]*://)?(?:www[.])?([^/:?#]+)'
const domainOf = (website: string) => new RegExp(domain).exec(website.toLowerCase())?.[1] ?? ''

const maxMatches = 10

/**
 * The records that a new one would probably duplicate, ignoring case and accents: at most ten for
 * each sign.
 */
export async function findDuplicates(
  ctx: Context,
  type: keyof typeof kinds,
  record: object
): Promise<Match[]> {
  const { resource, signs } = kinds[type]
  const found = await Promise.all(
    signs.map(async fields => {
      const records = await findEqual(ctx, resource, fields, record as Record<string, unknown>)
      return records.map(match => ({ type, ...match, by: fields }))
    })
  )
  const matches = new Map<number, Match>()
  for (const match of found.flat()) {
    const by = [...(matches.get(match.id)?.by ?? []), ...match.by]
    matches.set(match.id, { ...match, by })
  }
  return [...matches.values()].toSorted((a, b) => a.id - b.id)
}

/** Records with equal values in all of the fields; `like` finds candidates by the search index. */
async function findEqual(
  ctx: Context,
  resource: Resource,
  fields: string[],
  record: Record<string, unknown>
): Promise<{ id: number; name: string }[]> {
  const values = fields.map(field => {
    const text = textOf(record[field])
    return { field, text: field === 'website' ? domainOf(text) : text }
  })
  if (values.some(({ text }) => text === '')) return []
  const candidates = repository(resource).matching({
    filters: values.map(({ field, text }) => ({ field, operator: 'like', value: text }))
  })
  const equal = values.map(({ field, text }) => {
    const column = columnNamed(resource.table, field)
    const value =
      field === 'website' ? sql`substring(lower(${column}) from ${domain}::text)` : sql`${column}`
    return sql`${normalized(value)} = ${normalized(sql`${text}::text`)}`
  })
  return await ctx.rows(sql`select ${resource.table.id}, ${resource.title!} as name
    from ${candidates} where ${and(...equal)!} limit ${maxMatches}`)
}

const textOf = (value: unknown) => (typeof value === 'string' ? value.trim() : '')
const normalized = (text: SQL) => sql`search_normal(${text})`
