import { negotiate } from '@fastify/accept-negotiator'
import { stringify } from 'csv-stringify/sync'
import { Readable } from 'node:stream'
import { Problem } from './errors.ts'

export const formats = ['application/json', 'text/csv', 'application/x-ndjson'] as const
export type Format = typeof formats[number]

/** The format a list is answered in. Errors: 406. */
export function formatOf (accept: string | undefined): Format {
  if (accept === undefined || accept === '*/*' || accept === 'application/json') return 'application/json'
  const format = negotiate(accept, [...formats])
  if (format === null) throw new Problem(406, 'not_acceptable', `Lists are spoken in ${formats.join(', ')}.`)
  return format
}

/**
 * Rows as CSV (RFC 4180, with a header line) or as one JSON object a line, written as they are read.
 * A cell that a spreadsheet would take for a formula gets a quote in front.
 */
export function written (batches: AsyncIterable<object[]>, format: Exclude<Format, 'application/json'>, columns: readonly string[]): Readable {
  const csv = (rows: object[], header: boolean) => stringify(rows, { columns: [...columns], header, escape_formulas: true, record_delimiter: 'windows', quoted_match: /[\r\n]/, cast: { boolean: String } })
  async function * text () {
    if (format === 'text/csv') yield csv([], true)
    for await (const rows of batches) yield format === 'text/csv' ? csv(rows, false) : rows.map(row => `${JSON.stringify(row)}\n`).join('')
  }
  return Readable.from(text(), { objectMode: false })
}
