import { negotiate } from '@fastify/accept-negotiator'
import { stringify } from 'csv-stringify/sync'
import { Readable } from 'node:stream'
import { Problem } from '../errors.ts'

export const formats = ['application/json', 'text/csv', 'application/x-ndjson'] as const
export type Format = (typeof formats)[number]

/** The caller's preferred format; the first one without a preference. Errors: 406. */
export function formatOf<const F extends string>(
  accept: string | undefined,
  supported: readonly F[]
): F {
  if (accept === undefined || accept === '*/*' || accept === supported[0]) return supported[0]!
  const format = negotiate(accept, [...supported])
  if (format === null)
    throw new Problem(406, 'not_acceptable', `Supported formats: ${supported.join(', ')}.`)
  return format
}

const formula = /^[=+\-@\t\r\n\uFF0B\uFF0D\uFF1D\uFF20]/
const phoneNumber = /^[+-]?[\d ()./-]+$/
const escaped = (text: string) =>
  formula.test(text) && !phoneNumber.test(text) ? `'${text}` : text

/**
 * Rows as CSV (RFC 4180). A cell that a spreadsheet would run as a formula is preceded by an
 * apostrophe; phone numbers are not formulas.
 */
export const csv = (rows: object[], columns: readonly string[], header: boolean): string =>
  stringify(rows, {
    columns: [...columns],
    header,
    record_delimiter: 'windows',
    quoted_match: /[\r\n]/,
    cast: { boolean: String, string: escaped }
  })

/** Rows as CSV with a header line, or as one JSON object per line, streamed as they are read. */
export function streamRows(
  batches: AsyncIterable<object[]>,
  format: Exclude<Format, 'application/json'>,
  columns: readonly string[]
): Readable {
  async function* text() {
    if (format === 'text/csv') yield csv([], columns, true)
    for await (const rows of batches)
      yield format === 'text/csv'
        ? csv(rows, columns, false)
        : rows.map(row => `${JSON.stringify(row)}\n`).join('')
  }
  return Readable.from(text(), { objectMode: false })
}
