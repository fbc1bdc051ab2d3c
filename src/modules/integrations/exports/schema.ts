import { Type, type Static } from '@sinclair/typebox'
import { Count, Id, Instant, Nullable, OneOf, Text } from '../../../core/http/schema.ts'

export const formats = ['ndjson', 'csv'] as const
export type Format = (typeof formats)[number]

/** Types of one export. */
export const maxTypes = 20

const typesOf = (names: string[]) =>
  Type.Array(OneOf(names, { example: 'contact' }), {
    minItems: 1,
    maxItems: maxTypes,
    uniqueItems: true,
    description: 'Types of records.',
    example: ['contact']
  })

const fields = {
  filter: Text(4000, {
    minLength: 1,
    description:
      'Filters, as in the query string of the list; only with a single type. Default: all records.',
    example: 'last_name=Doe'
  }),
  format: OneOf(formats, {
    description:
      '`ndjson`: one line per record, `{"type": "contact", "record": {…}}`. `csv`: as of the ' +
      'list; only with a single type.',
    example: 'ndjson'
  }),
  with_cursor: Type.Boolean({
    description: 'Whether the export has a `cursor` from which the feed continues.',
    example: true
  })
}

/** What requests an export of some of these types, by the names of their records. */
export const newExport = (names: string[]) =>
  Type.Object(
    {
      types: typesOf(names),
      filter: Type.Optional(fields.filter),
      format: Type.Optional({
        ...fields.format,
        description: `${fields.format.description} Default: ndjson.`
      }),
      with_cursor: Type.Optional({
        ...fields.with_cursor,
        description: `${fields.with_cursor.description} Default: true.`
      })
    },
    {
      $id: 'NewExport',
      additionalProperties: false,
      description: 'An export to make.',
      example: { types: ['contact', 'account'], format: 'ndjson' }
    }
  )
export type NewExport = Static<ReturnType<typeof newExport>>

const result = {
  href: Text(60, { description: 'Path of the file.', example: '/api/exports/1/content' }),
  cursor: Text(40, {
    description:
      'Cursor of the feed (`GET /api/events?after=`). What comes after it is not in the file.',
    example: '17-b5bb9d8014a0'
  }),
  rows: Count({ description: 'Number of records.', example: 250 }),
  bytes: Type.Integer({
    format: 'int64',
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    description: 'Size of the file.',
    example: 84_213
  }),
  sha256: Text(64, {
    description: 'SHA-256 of the file, in hexadecimal.',
    example: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
  })
}

/** An export, and its file when that is complete. */
export const exportSchema = (names: string[]) =>
  Type.Object(
    {
      id: Id({ description: 'ID of the export, and of its job.', example: 1 }),
      types: typesOf(names),
      filter: Nullable({ ...fields.filter, description: 'Filters; null for all records.' }),
      format: { ...fields.format, description: 'Format of the file.' },
      with_cursor: fields.with_cursor,
      href: Nullable({
        ...result.href,
        description: 'Path of the file; null until it is complete.'
      }),
      cursor: Nullable(result.cursor),
      rows: Nullable(result.rows),
      bytes: Nullable(result.bytes),
      sha256: Nullable(result.sha256),
      created_by: Nullable(
        Id({ description: 'User who started it; null for the system.', example: 1 })
      ),
      created_at: Instant({ description: 'Creation time.', example: '2026-11-22T09:00:00.000Z' }),
      expires_at: Instant({
        description: 'Time at which it is deleted with its file.',
        example: '2026-11-29T09:00:00.000Z'
      })
    },
    { $id: 'Export', additionalProperties: false, description: 'Records of one moment, as a file.' }
  )
export type Export = Static<ReturnType<typeof exportSchema>>
