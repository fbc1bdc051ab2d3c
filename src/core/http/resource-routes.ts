import type { Static, TObject, TSchema } from '@sinclair/typebox'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Entry } from '../cache/cache.ts'
import type { Versions } from '../records/repository.ts'
import { etagOf, hasAlready, versionsOf } from './preconditions.ts'
import type { Context } from '../access/context.ts'
import { csv, formatOf, formats, written } from './formats.ts'
import { fieldOf, related, type Relation } from '../records/include.ts'
import type { ListQuery, Page } from '../records/list.ts'
import { listQuery, Paged } from '../records/list-query.ts'
import {
  answer,
  article,
  byId,
  capital,
  conditions,
  idOf,
  json,
  nextLink,
  sendRecord,
  type Identified
} from './responses.ts'
import { Event, EventPage, PageOf, Ref } from './schema.ts'

/** What a service may offer. A verb that is not there is a route that is not there. */
interface Verbs<Row, New, Changes> {
  list?: (ctx: Context, query: ListQuery) => Promise<Page<Row>>
  stream?: (ctx: Context, query: ListQuery) => AsyncIterable<Row[]>
  get?: (ctx: Context, id: number) => Promise<Row>
  create?: (ctx: Context, input: New) => Promise<Row>
  update?: (ctx: Context, id: number, changes: Changes, versions?: Versions) => Promise<Row>
  remove?: (ctx: Context, id: number, versions?: Versions) => Promise<void>
  restore?: (ctx: Context, id: number) => Promise<Row>
  history?: (ctx: Context, id: number, query: ListQuery) => Promise<Page<Static<typeof Event>>>
  /** Where a record is cached; without it none is. */
  cacheKey?: (ctx: Context, id: number) => string
}

/** What a resource says of itself: `one` and `many` name it in the document, the rest are schemas and names of fields. */
interface Contract<S extends TObject, N extends TSchema, C extends TSchema> {
  one: string
  many: string
  record: S
  create?: N
  update?: C
  filter: readonly (keyof Static<S> & string)[]
  sort: readonly (keyof Static<S> & string)[]
  search?: readonly (keyof Static<S> & string)[]
  include?: Record<string, Relation<keyof Static<S> & string>>
  /** Filters that are no fields, by name: those that the service gave its collection. */
  scopes?: Record<string, TSchema>
}

function sendEntry(request: FastifyRequest, reply: FastifyReply, { etag, body }: Entry) {
  reply.header('etag', etag).header('cache-control', 'private, no-cache')
  return hasAlready(request, etag) ? reply.code(304).send() : reply.type(json).send(body)
}

/** Mounts a route for each verb the service has. Everything here is contract; behaviour is the service's. */
export function crud<S extends TObject, N extends TSchema, C extends TSchema>(
  app: FastifyInstance,
  verbs: Verbs<Static<S>, Static<N>, Static<C>>,
  {
    one,
    many,
    record,
    create,
    update,
    filter,
    sort,
    search,
    include = {},
    scopes = {}
  }: Contract<S, N, C>
): void {
  const area = app.prefix.split('/').at(-1)!
  const columns = Object.keys(record.properties)
  const sample = Object.fromEntries(
    Object.entries(record.properties).map(([name, { example }]) => [name, example as unknown])
  )
  const ById = byId(sample.id)
  const relations = Object.keys(include)
  // what is asked for with `include` comes under one name, so that it can never be mistaken for a field
  const Shown =
    relations.length === 0
      ? record
      : Type.Object(
          {
            ...record.properties,
            included: Type.Optional(
              Type.Object(
                Object.fromEntries(
                  Object.entries(include).map(([name, { record }]) => [name, Type.Optional(record)])
                ),
                {
                  additionalProperties: false,
                  description:
                    'Related records, by the names given to `include`; one that is not there is absent.'
                }
              )
            )
          },
          {
            $id: `${record.$id}Shown`,
            additionalProperties: false,
            description: `${record.description} With its related records, where \`include\` asks for them.`
          }
        )
  const RecordPage = PageOf(record, Ref(Shown))
  for (const schema of new Set([record, Shown, RecordPage, create, update]))
    if (schema?.$id) app.addSchema(schema)
  const asking = listQuery({
    record,
    filter,
    sort,
    scopes,
    ...(search && { search }),
    ...(relations.length > 0 && { include: relations })
  })
  const shape = Type.Object(
    {
      fields: asking.schema.properties.fields,
      ...(relations.length > 0 && { include: asking.schema.properties.include! })
    },
    { additionalProperties: false }
  )

  const route = (
    operationId: string,
    summary: string,
    description: string,
    access: 'read' | 'write',
    rest: object
  ) => ({
    config: { permission: `${area}:${access}` as const },
    schema: { operationId, summary, description, tags: [area], ...rest }
  })

  /** Only the fields asked for, and the related records under `included`. */
  async function dressed(
    ctx: Context,
    rows: Static<S>[],
    fields: readonly string[] | undefined,
    wanted: string[],
    query: ListQuery = {}
  ): Promise<object[]> {
    const extras = wanted.length > 0 ? await related(ctx, rows, include, wanted, query) : undefined
    return rows.map((row, i) => ({
      ...(fields
        ? Object.fromEntries(fields.map(field => [field, (row as Record<string, unknown>)[field]]))
        : (row as object)),
      ...(extras && { included: extras[i] })
    }))
  }

  /** The columns to read for the fields to show: those of the relations as well. */
  const needed = (fields: readonly string[] | undefined, wanted: string[]) =>
    fields && [...new Set([...fields, ...wanted.map(name => fieldOf(include[name]!))])]

  const tagged = (row: Static<S>) => row as unknown as Identified
  const {
    list,
    stream,
    get,
    create: make,
    update: change,
    remove,
    restore,
    history,
    cacheKey
  } = verbs

  if (list && stream) {
    app.get(
      '',
      route(
        `list${capital(many)}`,
        `List ${many}`,
        `A page of ${many}, newest first unless sorted otherwise; as CSV or NDJSON the whole list is streamed unless \`limit\` or \`cursor\` is given.`,
        'read',
        {
          querystring: asking.schema,
          response: {
            200: {
              description: `The ${many}.`,
              content: {
                'application/json': { schema: Ref(RecordPage) },
                'text/csv': {
                  schema: Type.String({
                    description:
                      'A header line, then a line for each row. A cell that a spreadsheet would run as a formula has an apostrophe in front.',
                    example: csv([sample], columns, true),
                    maxLength: Number.MAX_SAFE_INTEGER,
                    format: 'csv'
                  })
                },
                'application/x-ndjson': {
                  schema: Type.String({
                    description: 'A JSON object on each line.',
                    example: `${JSON.stringify(sample)}\n`,
                    maxLength: Number.MAX_SAFE_INTEGER,
                    format: 'ndjson'
                  })
                }
              }
            }
          }
        }
      ),
      async (request, reply) => {
        const query = request.query as Record<string, unknown>
        const { include: wanted, paged, fields: shown, ...asked } = asking.read(query)
        const fields = needed(shown, wanted)
        const format = formatOf(request.headers.accept, formats)
        if (format !== 'application/json' && !paged) {
          const rows = stream(request.ctx, { ...asked, ...(fields && { fields }) })
          return reply
            .type(`${format}; charset=utf-8`)
            .send(
              written(dressedBatches(request.ctx, rows, shown, wanted, asked), format, [
                ...(shown ?? columns)
              ])
            )
        }
        const { data, ...page } = await list(request.ctx, { ...asked, ...(fields && { fields }) })
        const rows =
          shown || wanted.length > 0 ? await dressed(request.ctx, data, shown, wanted, asked) : data
        if (page.next_cursor !== null) reply.header('link', nextLink(request, page.next_cursor))
        if (format !== 'application/json')
          return reply
            .type(`${format}; charset=utf-8`)
            .send(written(once(rows), format, [...(shown ?? columns)]))
        return reply.type(json).send(JSON.stringify({ data: rows, ...page }))
      }
    )
  }

  async function* dressedBatches(
    ctx: Context,
    batches: AsyncIterable<Static<S>[]>,
    fields: readonly string[] | undefined,
    wanted: string[],
    query: ListQuery
  ) {
    for await (const rows of batches) yield await dressed(ctx, rows, fields, wanted, query)
  }

  if (get) {
    const load = async (ctx: Context, id: number): Promise<Entry> => {
      const row = tagged(await get(ctx, id))
      return { etag: etagOf(row), body: JSON.stringify(row) }
    }
    app.get(
      '/:id',
      route(`get${capital(one)}`, `Get ${article(one)}`, `One ${one} by its number.`, 'read', {
        params: ById,
        querystring: shape,
        headers: conditions(['if-none-match', 'cache-control']),
        response: {
          ...answer(200, `The ${one}.`, Ref(Shown)),
          304: Type.Null({ description: 'The record still has the ETag of If-None-Match.' })
        }
      }),
      (request, reply) => {
        const { ctx } = request
        const id = idOf(request)
        const { fields, include: wanted } = request.query as { fields?: string; include?: string }
        if (fields !== undefined || wanted !== undefined) return sendDressed(request, reply, id)
        if (cacheKey === undefined || request.headers['cache-control']?.includes('no-cache'))
          return load(ctx, id).then(entry => sendEntry(request, reply, entry))
        const key = cacheKey(ctx, id)
        const near = ctx.services.cache.peek(key)
        return near
          ? sendEntry(request, reply, near)
          : ctx.services.cache
              .read(key, () => load(ctx, id))
              .then(entry => sendEntry(request, reply, entry))
      }
    )

    const sendDressed = async (request: FastifyRequest, reply: FastifyReply, id: number) => {
      const { fields, include: wanted } = asking.read(request.query as Record<string, unknown>)
      const row = await get(request.ctx, id)
      const [shown] = await dressed(request.ctx, [row], fields, wanted)
      // an included record changes without this one: no ETag speaks for both
      if (wanted.length === 0)
        return sendEntry(request, reply, { etag: etagOf(tagged(row)), body: JSON.stringify(shown) })
      return reply.type(json).send(JSON.stringify(shown))
    }
  }

  if (make && create) {
    app.post(
      '',
      route(
        `create${capital(one)}`,
        `Create ${article(one)}`,
        `Makes ${article(one)} and answers with it.`,
        'write',
        {
          body: Ref(create),
          response: answer(201, `The new ${one}.`, Ref(record))
        }
      ),
      async (request, reply) => {
        const row = tagged(await make(request.ctx, request.body))
        return sendRecord(reply.code(201).header('location', `${app.prefix}/${row.id}`), row)
      }
    )
  }

  if (change && update) {
    for (const [method, name] of [
      ['PUT', 'replace'],
      ['PATCH', 'update']
    ] as const) {
      app.route({
        method,
        url: '/:id',
        ...route(
          `${name}${capital(one)}`,
          `Update ${article(one)}${method === 'PUT' ? ' (PUT)' : ''}`,
          `Changes the fields given: an absent field stays as it is, null clears it. ${method === 'PUT' ? 'The same as PATCH.' : 'Also takes application/merge-patch+json (RFC 7396).'}`,
          'write',
          {
            ...(method === 'PATCH' && {
              consumes: ['application/json', 'application/merge-patch+json']
            }),
            params: ById,
            body: Ref(update),
            headers: conditions(['if-match']),
            response: answer(200, `The ${one} as it is now.`, Ref(record))
          }
        ),
        handler: async (request, reply) =>
          sendRecord(
            reply,
            tagged(
              await change(
                request.ctx,
                idOf(request),
                request.body as Static<C>,
                versionsOf(request)
              )
            )
          )
      })
    }
  }

  if (remove) {
    app.delete(
      '/:id',
      route(
        `delete${capital(one)}`,
        `Delete ${article(one)}`,
        `Deletes the ${one} softly: it is gone from reads and lists, and can be restored.`,
        'write',
        {
          params: ById,
          headers: conditions(['if-match']),
          response: { 204: Type.Null({ description: `The ${one} is deleted.` }) }
        }
      ),
      async (request, reply) => {
        await remove(request.ctx, idOf(request), versionsOf(request))
        return reply.code(204).send()
      }
    )
  }

  if (restore) {
    app.post(
      '/:id/restore',
      route(
        `restore${capital(one)}`,
        `Restore ${article(one)}`,
        `Brings a deleted ${one} back; one that is not deleted stays as it is.`,
        'write',
        {
          params: ById,
          response: answer(200, `The ${one} as it is now.`, Ref(record))
        }
      ),
      async (request, reply) => sendRecord(reply, tagged(await restore(request.ctx, idOf(request))))
    )
  }

  if (history) {
    app.get(
      '/:id/history',
      route(
        `list${capital(one)}History`,
        `List the history of ${article(one)}`,
        `Every change of the ${one}, newest first: who, when, which fields, before and after. Also of a deleted one.`,
        'read',
        {
          params: ById,
          querystring: Paged,
          response: answer(200, 'The changes.', Ref(EventPage))
        }
      ),
      async (request, reply) => {
        const page = await history(request.ctx, idOf(request), request.query as ListQuery)
        if (page.next_cursor !== null) reply.header('link', nextLink(request, page.next_cursor))
        return reply.type(json).send(JSON.stringify(page))
      }
    )
  }
}

async function* once<T>(value: T) {
  yield value
}
