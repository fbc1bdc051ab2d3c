import { negotiate } from '@fastify/accept-negotiator'
import { stringify } from 'csv-stringify/sync'
import { Readable } from 'node:stream'
import { Problem } from '../errors.ts'

export const formats = ['application/json', 'text/csv', 'application/x-ndjson'] as const
export type Format = (typeof formats)[number]

/** Which of the formats `spoken` the caller would like best; the first if it says nothing. Errors: 406. */
export function formatOf<const F extends string>(
  accept: string | undefined,
  spoken: readonly F[]
): F {
  if (accept === undefined || accept === '*/*' || accept === spoken[0]) return spoken[0]!
  const format = negotiate(accept, [...spoken])
  if (format === null)
    throw new Problem(406, 'not_acceptable', `This is spoken in ${spoken.join(', ')}.`)
  return format
}

const formula = /^[=+\-@\t\r\n\uFF0B\uFF0D\uFF1D\uFF20]/
const telephone = /^[+-]?[\d ()./-]+$/
const disarmed = (text: string) => (formula.test(text) && !telephone.test(text) ? `'${text}` : text)

/** Rows as CSV (RFC 4180). A cell that a spreadsheet would run as a formula gets an apostrophe in front; a telephone number is none. */
export const csv = (rows: object[], columns: readonly string[], header: boolean): string =>
  stringify(rows, {
    columns: [...columns],
    header,
    record_delimiter: 'windows',
    quoted_match: /[\r\n]/,
    cast: { boolean: String, string: disarmed }
  })

/** Rows as CSV with a header line, or as one JSON object a line, written as they are read. */
export function written(
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
