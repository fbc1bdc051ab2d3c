import { Type } from '@sinclair/typebox'
import { stringify } from 'csv-stringify/sync'
import type { FastifyReply } from 'fastify'
import Negotiator from 'negotiator'
import { Readable } from 'node:stream'
import { Problem } from '../errors.ts'

export const formats = ['application/json', 'text/csv', 'application/x-ndjson'] as const
export type Format = (typeof formats)[number]

/** Parameters of a media range except `q`: `; charset=utf-8`, `; header="present"`. */
const rangeParameter = /;\s*(?!q\s*=)[^\s=;,"]+\s*(=\s*("(?:[^"\\]|\\.)*"|[^;,"]*))?/gi

/**
 * The caller's preferred format by `Accept` (RFC 9110 §12.5.1); the first one without a preference.
 * Each format has one form, so parameters of a range do not exclude it. Errors: 406.
 */
export function formatOf<const F extends string>(
  accept: string | undefined,
  supported: readonly F[]
): F {
  if (accept === undefined || accept === '*/*' || accept === supported[0]) return supported[0]!
  const ranges = accept.replaceAll(rangeParameter, '')
  if (/^[\s,]*$/.test(ranges)) return supported[0]!
  const [format] = new Negotiator({ headers: { accept: ranges } }).mediaTypes([...supported])
  if (format !== undefined) return format as F
  throw new Problem(406, 'not_acceptable', `Supported formats: ${supported.join(', ')}.`)
}

/** The parameter of everything that is available as CSV. */
export const bomParameter = Type.Optional(
  Type.Boolean({
    default: false,
    description: 'Whether to start CSV with a byte order mark, so that Excel reads it as UTF-8.'
  })
)
const byteOrderMark = '\uFEFF'

/** Declares a response to be CSV, which browsers save as `<name>.csv`. */
export const asCsv = (reply: FastifyReply, name: string) =>
  reply
    .type('text/csv; charset=utf-8')
    .header('content-disposition', `attachment; filename="${name}.csv"`)

/** What a spreadsheet takes for a cell: depending on its locale, it also splits text at `;`. */
const cell = /[^;|\t\r\n]+/g
/** A formula, also behind white space and invisible characters; in ASCII or full width. */
const formula = /^['\p{Z}\p{C}]*[=+\-@\uFF0B\uFF0D\uFF1D\uFF20]/u
const phoneNumber = /^[+-]?[\d ()./-]+$/

/**
 * Text with an apostrophe before each formula in it, also before one that has apostrophes already:
 * so that removing one apostrophe before each formula restores the text.
 */
const escaped = (text: string) =>
  text.replaceAll(cell, part => (formula.test(part) && !phoneNumber.test(part) ? `'${part}` : part))

const csvOf = (rows: object[], columns: readonly string[], header: boolean): string =>
  stringify(rows, {
    columns: [...columns],
    header,
    record_delimiter: 'windows',
    quoted_match: /[\r\n]/,
    cast: { boolean: String, string: escaped, object: value => escaped(JSON.stringify(value)) }
  })

/**
 * Rows as CSV (RFC 4180) with a header line. Text that a spreadsheet would run as a formula is
 * preceded by an apostrophe; phone numbers are not formulas. `bom`: with a byte order mark.
 */
export const csv = (rows: object[], columns: readonly string[], bom = false): string =>
  (bom ? byteOrderMark : '') + csvOf(rows, columns, true)

/** Rows as CSV (see `csv`), streamed as they are read. */
export function streamCsv(
  batches: AsyncIterable<object[]>,
  columns: readonly string[],
  bom: boolean
): Readable {
  async function* text() {
    yield csv([], columns, bom)
    for await (const rows of batches) yield csvOf(rows, columns, false)
  }
  return Readable.from(text(), { objectMode: false })
}

/** Rows as one JSON object per line, streamed as they are read. */
export function streamNdjson(batches: AsyncIterable<object[]>): Readable {
  async function* text() {
    for await (const rows of batches) yield rows.map(row => `${JSON.stringify(row)}\n`).join('')
  }
  return Readable.from(text(), { objectMode: false })
}
