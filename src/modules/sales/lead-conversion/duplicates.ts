import type { SQL } from 'drizzle-orm'
import { domainToASCII, domainToUnicode } from 'node:url'
import type { Context } from '../../../core/access/context.ts'
import { columnNamed } from '../../../core/db/columns.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { creationLock, type Lock } from '../../../core/db/locks.ts'
import { ours } from '../../../core/db/sql.ts'
import type { Match } from '../../../core/errors.ts'
import type { Resource } from '../../../core/records/resource.ts'
import { defineUndoing } from '../../../core/records/undoing.ts'
import { accountResource } from '../../crm/accounts/resource.ts'
import { accountKeys } from '../../crm/accounts/table.ts'
import { contactResource } from '../../crm/contacts/resource.ts'
import { contactKeys } from '../../crm/contacts/table.ts'
import { isSharedHost } from './shared-hosts.ts'

/** What makes two records probably the same: equal keys. */
interface Sign {
  /** The fields that the key is made of. */
  fields: string[]
  /** The key of columns, which has an index, or of values; null where there is none. */
  keyOf: (...fields: SQL[]) => SQL
  /** The keys that mean the same as a key, if not itself alone; none if it means nothing. */
  synonyms?: (key: string) => string[]
}

interface Kind {
  resource: Resource
  signs: Sign[]
}

const kinds = {
  account: {
    resource: accountResource,
    signs: [
      { fields: ['name'], keyOf: accountKeys.name },
      { fields: ['website'], keyOf: accountKeys.website, synonyms: hostNames }
    ]
  },
  contact: {
    resource: contactResource,
    signs: [
      { fields: ['email'], keyOf: contactKeys.email },
      { fields: ['first_name', 'last_name', 'company'], keyOf: contactKeys.person }
    ]
  }
} satisfies Record<string, Kind>

type Type = keyof typeof kinds

// no other conversion uses an account while it is deleted
defineUndoing(accountResource, {
  creationLocks: async (ctx, account) => await creationLocks(ctx, 'account', account)
})

/** A host on the Internet in ASCII and in Unicode; none for another one, and for a shared one. */
function hostNames(host: string): string[] {
  const ascii = domainToASCII(host)
  if (!/[.][a-z][a-z0-9-]*[a-z0-9]$/.test(ascii) || isSharedHost(ascii)) return []
  return [...new Set([ascii, domainToUnicode(ascii)])]
}

/** What is written where a form requires a value and there is none, in letters and digits. */
const placeholders = new Set([
  '',
  'n a',
  'na',
  'no',
  'none',
  'not applicable',
  'not available',
  'null',
  'tba',
  'tbc',
  'tbd',
  'undefined',
  'unknown'
])

/** Whether a text says that there is no value, such as `n/a` or `-`. */
export const isPlaceholder = (text: string): boolean =>
  placeholders.has(
    text
      .normalize('NFKC')
      .toLowerCase()
      .replaceAll(/[\s\p{P}]+/gu, ' ')
      .trim()
  )

/** Not names of people: there are families called Null. */
const companyNames = new Set(['name', 'company'])

interface SearchKey extends Sign {
  keys: string[]
}

const itself = (key: string) => [key]

/** The signs of a record that it has, with its keys. */
async function searchKeysOf(ctx: Context, type: Type, record: object): Promise<SearchKey[]> {
  const values = record as Record<string, unknown>
  const { resource, signs: all }: Kind = kinds[type]
  const hidden = ctx.hiddenFields(resource.path)
  const signs = all.filter(({ fields }) =>
    fields.every(field => {
      if (hidden.has(field)) return false
      const value = values[field]
      return typeof value === 'string' && !(companyNames.has(field) && isPlaceholder(value))
    })
  )
  if (signs.length === 0) return []
  const columns = signs.map(({ fields, keyOf }, i) => {
    const key = keyOf(...fields.map(field => sql`${values[field]}::text`))
    return sql`${key} as ${sql.identifier(`key${i}`)}`
  })
  const [row] = await ctx.read<Record<string, string | null>>(
    sql`select ${sql.join(columns, sql`, `)}`
  )
  return signs.flatMap((sign, i) => {
    const key = row![`key${i}`] ?? null
    const { synonyms = itself } = sign
    const keys = key === null ? [] : synonyms(key)
    return keys.length === 0 ? [] : [{ ...sign, keys }]
  })
}

/** The locks for creating a record: who creates one with the same key waits, and then finds it. */
export async function creationLocks(ctx: Context, type: Type, record: object): Promise<Lock[]> {
  const signs = await searchKeysOf(ctx, type, record)
  return signs.map(({ fields, keys }) => creationLock(type, fields.join(), keys[0]!))
}

const maxMatches = 10

/** The records that a new one would probably duplicate: at most ten for each sign. */
export async function findDuplicates(ctx: Context, type: Type, record: object): Promise<Match[]> {
  const { resource } = kinds[type]
  const signs = await searchKeysOf(ctx, type, record)
  const found = await Promise.all(
    signs.map(async sign => {
      const records = await findByKeys(ctx, resource, sign)
      return records.map(match => ({ type, ...match, by: sign.fields }))
    })
  )
  const matches = new Map<number, Match>()
  for (const match of found.flat()) {
    const by = [...(matches.get(match.id)?.by ?? []), ...match.by]
    matches.set(match.id, { ...match, by })
  }
  return [...matches.values()].toSorted((a, b) => a.id - b.id)
}

async function findByKeys(
  ctx: Context,
  { table, title }: Resource,
  { fields, keyOf, keys }: SearchKey
): Promise<{ id: number; name: string }[]> {
  const key = keyOf(...fields.map(field => sql`${columnNamed(table, field)}`))
  return await ctx.read(sql`select ${columnNamed(table, 'id')}, ${title!} as name
    from ${ours(table)} where ${key} = any(${sql.param(keys)}::text[]) limit ${maxMatches}`)
}
