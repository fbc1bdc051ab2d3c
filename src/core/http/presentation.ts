import { Type, type TObject, type TProperties } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Context } from '../access/context.ts'
import { defined } from '../defined.ts'
import { assertReadable, fieldOf, loadRelated, type Relations } from '../records/include.ts'
import type { ListQuery } from '../records/list.ts'
import { etagOf } from './preconditions.ts'
import type { Mount } from './resource-mount.ts'
import { json, sendRecord, type Identified } from './responses.ts'

/** What of a record a response shows: some of its fields, or all, and related records. */
interface Presentation {
  fields?: readonly string[]
  include: string[]
}

/** The query string of a response with a single record, with `more` parameters. */
export function recordQuery({ query }: Pick<Mount, 'query'>, more: TProperties = {}): TObject {
  const { fields, include } = query.schema.properties
  const properties = { ...defined({ fields, include }), ...more }
  return Type.Object(properties, { additionalProperties: false })
}

/**
 * Whether a request with a `recordQuery` is for something else than the record as it is: it asks
 * for that, or the caller does not see all of the record.
 */
export function isPresented({ resource }: Pick<Mount, 'resource'>, request: FastifyRequest) {
  const { fields, include } = request.query as { fields?: string; include?: string }
  if (fields !== undefined || include !== undefined) return true
  return request.ctx.hiddenFields(resource.path).size > 0
}

/** The columns to read for the fields to return: those of the relations as well. */
export const columnsFor = (relations: Relations, { fields, include }: Presentation) =>
  fields && [...new Set([...fields, ...include.map(name => fieldOf(relations[name]!))])]

/** Rows with only the requested fields, and the related records in `included`. */
export async function present(
  { relations }: Pick<Mount, 'relations'>,
  ctx: Context,
  rows: object[],
  { fields, include }: Presentation,
  query: ListQuery = {}
): Promise<object[]> {
  if (!fields && include.length === 0) return rows
  const records = rows as Record<string, unknown>[]
  const related =
    include.length > 0 ? await loadRelated(ctx, records, relations, include, query) : []
  return records.map((row, i) => ({
    ...(fields ? Object.fromEntries(fields.map(field => [field, row[field]])) : row),
    ...defined({ included: related[i] })
  }))
}

/**
 * Carries out a write, and sends the record that it returns with its ETag, as the request wants it
 * presented. Errors: those of the write; 403 for related records, before anything is written.
 */
export async function sendWritten(
  mount: Pick<Mount, 'resource' | 'relations' | 'query'>,
  request: FastifyRequest,
  reply: FastifyReply,
  write: () => Promise<Identified>
): Promise<FastifyReply> {
  if (!isPresented(mount, request)) return sendRecord(reply, await write())
  const { ctx } = request
  const presentation = mount.query.read(ctx, request.query as Record<string, unknown>)
  assertReadable(ctx, mount.relations, presentation.include)
  const row = await write()
  const [presented] = await present(mount, ctx, [row], presentation)
  return reply.header('etag', etagOf(row)).type(json).send(JSON.stringify(presented))
}
