import { Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { finished } from 'node:stream'
import type { Context } from '../access/context.ts'
import { assertMayExport } from '../access/risk.ts'
import type { Entry } from '../cache/cache.ts'
import { defined } from '../defined.ts'
import { invalidParameter } from '../errors.ts'
import { pascalCase, withArticle } from '../names.ts'
import { PageQuery } from '../records/list-query.ts'
import type { ListQuery } from '../records/list.ts'
import { asCsv, formatOf, formats, streamCsv, streamNdjson } from './formats.ts'
import { hasExternalIds } from '../db/columns.ts'
import { externalIdParameters } from './external-ids.ts'
import { etagOf, hasCurrent } from './preconditions.ts'
import { columnsFor, isPresented, present, recordQuery } from './presentation.ts'
import { recordExport } from '../records/events.ts'
import type { Resource } from '../records/resource.ts'
import { shownEvent } from '../records/visibility.ts'
import { operation, type Mount, type Operations } from './resource-mount.ts'
import { idByExternal } from './resource-upserts.ts'
import {
  emptyResponse,
  idOf,
  json,
  pageResponse,
  recordResponse,
  requestHeaders,
  response,
  sendPage,
  setNextLink,
  type Identified
} from './responses.ts'
import { Instant, Ref } from './schema.ts'

const text = (name: string, format: string, example: string, description: string) =>
  Type.String({ $id: name, description, format, example, maxLength: Number.MAX_SAFE_INTEGER })

/** Rows as CSV and as NDJSON, for the document. */
export const Csv = text(
  'Csv',
  'csv',
  'id,name\r\n1,Example\r\n',
  'A header line, then one line per row. Text that a spreadsheet would run as a formula is ' +
    'prefixed with an apostrophe. Related records are omitted.'
)
export const Ndjson = text(
  'Ndjson',
  'ndjson',
  '{"id":1,"name":"Example"}\n',
  'One JSON object per row, each on its own line.'
)

/** What the route of a list needs. */
export type ListMount = Pick<Mount, 'app' | 'schema' | 'query' | 'relations'> & {
  resource: Pick<Resource, 'path' | 'plural' | 'pluralLabel'>
  service: Pick<Operations<object, never, never>, 'list' | 'stream'>
}

export function mountList(mount: ListMount): void {
  const { app, resource, service, schema, query } = mount
  const { list, stream } = service
  if (!list || !stream) return
  const columns = Object.keys(schema.properties)
  const many = resource.pluralLabel
  const isSortable = 'sort' in query.schema.properties
  const { config, schema: declared } = operation(mount, 'read', {
    operationId: `list${pascalCase(resource.plural)}`,
    summary: `List ${many}`,
    description:
      `A page of ${many}, newest first${isSortable ? ' unless `sort` is given' : ''}. As CSV or ` +
      'NDJSON, the whole list is streamed unless `limit` or `cursor` is given; this requires ' +
      'the permission ' +
      `\`${resource.path}:export\`.`
  })
  const page = Ref({ $id: `${schema.$id}Page` })
  const ok = response(200, `The ${many}.`, page, 'Link', 'Content-Disposition')
  Object.assign(ok[200]!.content, {
    'text/csv': { schema: Ref(Csv) },
    'application/x-ndjson': { schema: Ref(Ndjson) }
  })

  app.get(
    '',
    { config, schema: { ...declared, querystring: query.schema, response: ok } },
    async (request, reply) => {
      const format = formatOf(request.headers.accept, formats)
      const isExport = format !== 'application/json'
      if (isExport) request.ctx.require(`${resource.path}:export`)
      const ctx = isExport ? request.ctx.exporting : request.ctx
      const requested = query.read(ctx, request.query as Record<string, unknown>)
      const { include, paged, fields, bom, ...rest } = requested
      const shown = { ...defined({ fields }), include: format === 'text/csv' ? [] : include }
      const listed = { ...rest, ...defined({ fields: columnsFor(mount.relations, shown) }) }
      const send = (batches: AsyncIterable<object[]>) =>
        format === 'text/csv'
          ? asCsv(reply, resource.path).send(streamCsv(batches, fields ?? columns, bom))
          : reply.type(`${format}; charset=utf-8`).send(streamNdjson(batches))
      const isWhole = isExport && !paged
      if (isWhole) await assertMayExport(ctx, async () => (await list(ctx, counted(listed))).total!)
      if (isExport) await recordExport(ctx, resource.path, format, request.query as object)
      if (isWhole) {
        finished(reply.raw, await ctx.beginExport())
        const batches = presentEach(stream(ctx, listed), rows =>
          present(mount, ctx, rows, shown, rest)
        )
        return send(await begun(batches))
      }
      const { data, ...page } = await list(ctx, listed)
      const rows = await present(mount, ctx, data, shown, rest)
      setNextLink(request, reply, page.next_cursor)
      if (isExport) return send(once(rows))
      return reply.type(json).send(JSON.stringify({ data: rows, ...page }))
    }
  )
}

const counted = (query: ListQuery): ListQuery => ({ ...query, limit: 1, count: true })

/** Rows whose related records are loaded at a time in an export: they can be large. */
const presentedAtOnce = 50

async function* presentEach(
  batches: AsyncIterable<object[]>,
  presented: (rows: object[]) => Promise<object[]>
) {
  for await (const rows of batches)
    for (let i = 0; i < rows.length; i += presentedAtOnce)
      yield await presented(rows.slice(i, i + presentedAtOnce))
}

/** The batches once the first one is there: what is refused before is a response of its own. */
async function begun<T>(batches: AsyncGenerator<T>): Promise<AsyncIterable<T>> {
  const first = await batches.next()
  return (async function* () {
    if (first.done) return
    yield first.value
    yield* batches
  })()
}

async function* once<T>(value: T) {
  yield value
}

function sendEntry(request: FastifyRequest, reply: FastifyReply, { etag, body }: Entry) {
  reply.header('etag', etag).header('cache-control', 'private, no-cache')
  if (hasCurrent(request, etag)) return reply.code(304).send()
  return reply.type(json).send(body)
}

const entryOf = (row: Identified, body: object = row): Entry => ({
  etag: etagOf(row),
  body: JSON.stringify(body)
})

const asOfParameter = Type.Optional(
  Instant({
    format: 'date-or-date-time',
    description:
      'Return the record as it was at this time, also if it was or is deleted; a date means the ' +
      'end of that day where the organization is. It is a 404 if there was no such record yet. ' +
      'The rights are those of today. Not together with `include`.',
    examples: ['2026-03-31T23:59:59Z']
  })
)

/** How a record is read: as it is or, with `as_of`, as it was. Errors: 400. */
function readerOf({ service }: Mount, request: FastifyRequest) {
  const { as_of, include } = request.query as { as_of?: string; include?: string }
  if (as_of === undefined) return service.get!
  if (include === undefined)
    return async (ctx: Context, id: number) => await service.asOf!(ctx, id, as_of)
  const detail = '`include` cannot be used with `as_of`: related records are those of now.'
  throw invalidParameter('include', detail, { excludes: 'as_of' })
}

export function mountGet(mount: Mount): void {
  const { app, resource, service, schema: record, params } = mount
  const { get, asOf, cacheKey } = service
  if (!get) return
  const { label, path } = resource
  const permission = `${path}:read`
  const { config, schema } = operation(mount, 'read', {
    operationId: `get${pascalCase(resource.name)}`,
    summary: `Get ${withArticle(label)}`,
    description: `The ${label} with this ID.`
  })
  const response = {
    ...recordResponse(`The ${label}.`, Ref(record)),
    ...emptyResponse(304, 'ETag')
  }
  const options = {
    config,
    schema: {
      ...schema,
      params,
      querystring: recordQuery(mount, defined({ as_of: asOf && asOfParameter })),
      headers: requestHeaders('if-none-match', 'cache-control'),
      response
    }
  }
  const load = async (ctx: Context, id: number) => entryOf(await get(ctx, id))

  const send = (request: FastifyRequest, reply: FastifyReply, id: number) => {
    const { ctx } = request
    const { as_of } = request.query as { as_of?: string }
    // the cache has records as they are
    if (as_of !== undefined || isPresented(mount, request))
      return sendPresented(mount, request, reply, id)
    const sendOne = (entry: Entry) => sendEntry(request, reply, entry)
    const isCached = cacheKey !== undefined && ctx.principal.access.reachOf(permission) === 'all'
    if (!isCached || request.headers['cache-control']?.includes('no-cache'))
      return load(ctx, id).then(sendOne)
    const key = cacheKey(ctx, id)
    const near = ctx.services.cache.peek(key)
    return near ? sendOne(near) : ctx.services.cache.read(key, () => load(ctx, id)).then(sendOne)
  }

  app.get('/:id', options, (request, reply) => send(request, reply, idOf(request)))
  if (!hasExternalIds(resource.table)) return
  const byExternalId = {
    operationId: `get${pascalCase(resource.name)}ByExternalId`,
    summary: `Get ${withArticle(label)} by its external ID`,
    description: `The ${label} with this ID in another system.`
  }
  app.get(
    '/external/:source/:value',
    { config, schema: { ...options.schema, ...byExternalId, params: externalIdParameters } },
    async (request, reply) => await send(request, reply, await idByExternal(request, resource))
  )
}

async function sendPresented(
  mount: Mount,
  request: FastifyRequest,
  reply: FastifyReply,
  id: number
) {
  const presentation = mount.query.read(request.ctx, request.query as Record<string, unknown>)
  const read = readerOf(mount, request)
  const row = await read(request.ctx, id)
  const [presented] = await present(mount, request.ctx, [row], presentation)
  if (presentation.include.length === 0) return sendEntry(request, reply, entryOf(row, presented))
  // an included record changes without this one: no ETag covers both
  return reply.type(json).send(JSON.stringify(presented))
}

export function mountHistory(mount: Mount): void {
  const { app, resource, service, params } = mount
  const { history } = service
  if (!history) return
  const { name, label } = resource
  const { config, schema } = operation(mount, 'read', {
    operationId: `list${pascalCase(name)}History`,
    summary: `List the history of ${withArticle(label)}`,
    description:
      `Changes to the ${label}, newest first: who made each one and when, and the record before ` +
      'and after. Deleted records have a history too.'
  })
  const response = pageResponse('The changes.', Ref({ $id: 'EventPage' }))
  app.get(
    '/:id/history',
    { config, schema: { ...schema, params, querystring: PageQuery, response } },
    async (request, reply) => {
      const { ctx } = request
      const { data, ...page } = await history(ctx, idOf(request), request.query as ListQuery)
      const shown = data.map(event => shownEvent(ctx, resource, event))
      return sendPage(request, reply, { data: shown, ...page })
    }
  )
}
