import type { SQL } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import type { Context } from '../access/context.ts'
import { columnNamed, searchTextOf } from '../db/columns.ts'
import { getTableName, sql } from '../db/drizzle.ts'
import { ours } from '../db/sql.ts'
import type { Reference } from './resource.ts'
import { isHidden } from './visibility.ts'

const maxWords = 20

/** The zeros of the scripts whose digits `search_normal` knows (drizzle/0008). */
const zeros = Array.from('٠۰०০੦૦୦௦౦೦൦๐໐༠၀០᠐', zero => zero.codePointAt(0)!)

/**
 * What may be a phone number, in any notation: up to 15 digits (ITU E.164), at least seven if there
 * are spaces between them, otherwise four.
 */
const spaced = String.raw`(?:[\s()./‐–-]{0,3}\d){6,14}`
const unspaced = String.raw`(?:[()./‐–-]{0,3}\d){3,5}`
const inWord = String.raw`[\p{L}\p{N}@_-]`
const number = new RegExp(`(?<!${inWord})[+(]?\\d(?:${spaced}|${unspaced})(?!${inWord})`, 'gu')

/** Country calling codes (ITU E.164): the first digits tell how long they are. */
const countryCode =
  /^(?:[17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|[2-9]\d\d)(?=\d{7})/

/** What separates the words of a pasted text; a word can have other punctuation within it. */
const separators = /[\s,;"“”„«»<>()[\]{}|]+/u

/**
 * The words of a search, as it is typed or pasted: also `Last, First`, `Name <address>`, `mailto:`
 * and web addresses. A phone number is one word. Of more than 20 words, the longest.
 */
export function wordsIn(text: string): string[] {
  const plain = withAsciiDigits(text.normalize('NFKC'))
    .replaceAll(/\b(?:mailto|tel|sms):([^\s?>]*)(?:\?[^\s>]*)?/gi, '$1')
    .replaceAll(/\b[a-z][a-z0-9+.-]*:\/\/([^\s?#>]*)[^\s>]*/gi, '$1')
    .replaceAll(/(?<![^\s<("'])www\./gi, '')
  const numbers = [...plain.matchAll(number)].map(([found]) => found)
  const words = plain.replaceAll(number, ' ').split(separators).map(withoutEdges)
  const found = [...new Set([...numbers, ...words])].filter(word => word !== '')
  // without a letter or digit it is found nowhere, but it is still a search
  if (found.length === 0) return text.trim() === '' ? [] : [text]
  return found.toSorted((a, b) => b.length - a.length).slice(0, maxWords)
}

const withAsciiDigits = (text: string) =>
  text.replaceAll(/(?!\d)\p{Nd}/gu, digit => {
    const code = digit.codePointAt(0)!
    const zero = zeros.find(zero => code >= zero && code < zero + 10)
    return zero === undefined ? digit : String(code - zero)
  })

/** A word without the punctuation around it. */
const withoutEdges = (word: string) =>
  word.replace(/^[^\p{L}\p{N}\p{So}]+/u, '').replace(/[^\p{L}\p{M}\p{N}\p{So}]+$/u, '')

/**
 * How a word of a search can be written in the text of a record; white space at an end is the end
 * of a word. A phone number can be there as its digits (`search_phone` in drizzle/0008), without
 * its country code, or as it was typed.
 */
export function spellingsOf(word: string): string[] {
  if (word.replace(number, '') !== '') return [word]
  const digits = word.replaceAll('(0)', '').replaceAll(/\D/g, '')
  const significant = digits.length < 7 ? digits : digits.replace(/^0+/, '')
  const isInternational = /^(\+|\(\+|00)/.test(word) || significant.length > 10
  const national = isInternational ? significant.replace(countryCode, '').replace(/^0+/, '') : ''
  const isShortened = national.length >= 7 && national !== significant
  return [...new Set([significant, word, ...(isShortened ? [` ${national} `] : [])])]
}

/** The text of a record that `q` and `like` search by its trigram index. */
export const searchColumn = (table: PgTable): PgColumn =>
  (table as unknown as { search_text: PgColumn }).search_text

/** Records with text of their own, or with related records that have some. */
export interface Searchable {
  table: PgTable
  /** The fields that are searched. */
  search?: readonly string[]
  relatedRecords?: () => Record<string, Reference>
}

/** By the name of a table: the columns that a caller sees, of those that are searched. */
export type Searched = Readonly<Record<string, readonly string[]>>

/** The columns in which a caller may search; undefined: all of them. */
export function searchedBy(ctx: Context, searchable: Searchable): Searched | undefined {
  const all = [
    searchable,
    ...Object.values(searchable.relatedRecords?.() ?? {}).map(({ to }) => to)
  ]
  const shown = all.map(({ table, search = [] }) => {
    const columns = search.filter(field => !isHidden(ctx, columnNamed(table, field)))
    return { table, columns, isWhole: columns.length === search.length }
  })
  if (shown.every(({ isWhole }) => isWhole)) return undefined
  return Object.fromEntries(shown.map(({ table, columns }) => [getTableName(table), columns]))
}

/**
 * The condition that a record, or one related to it, has a word in one of its spellings; in the
 * columns of `searched`, if it is given.
 */
export function hasWord(
  { table, relatedRecords }: Searchable,
  spellings: SQL[],
  searched?: Searched
): SQL {
  const own = 'search_text' in table ? spellings : []
  const related = Object.values(relatedRecords?.() ?? {}).map(reference =>
    refersTo(reference, hasWord({ table: reference.to.table }, spellings, searched))
  )
  const words = own.map(one => {
    const found = sql`${searchColumn(table)} like search_pattern(${one})`
    const columns = searched?.[getTableName(table)]
    // the index on the whole text finds the candidates
    return columns ? sql`(${found} and ${isIn(columns, one)})` : found
  })
  return sql`(${sql.join([...words, ...related], sql` or `)})`
}

const isIn = (columns: readonly string[], word: SQL): SQL =>
  columns.length === 0 ? sql`false` : sql`${searchTextOf(columns)} like search_pattern(${word})`

/** The condition that the record which a column refers to meets `condition`. */
export const refersTo = ({ column, to }: Reference, condition: SQL): SQL =>
  sql`exists (select from ${ours(to.table)} where ${to.columns.id!} = ${column} and ${condition})`
