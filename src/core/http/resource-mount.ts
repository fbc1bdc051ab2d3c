import { Type, type TObject } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import type { Context } from '../access/context.ts'
import type { Action } from '../access/permissions.ts'
import type { EventRow } from '../records/events.ts'
import type { Relations } from '../records/include.ts'
import type { ListQueryReader } from '../records/list-query.ts'
import type { ListQuery, Page } from '../records/list.ts'
import type { Versions } from '../records/repository.ts'
import type { Resource } from '../records/resource.ts'
import { problems, type ProblemStatus } from './operations.ts'
import type { Identified } from './responses.ts'

/** The operations that a service may have. One that it lacks has no route. */
export interface Operations<Row, New, Changes> {
  list?: (ctx: Context, query: ListQuery) => Promise<Page<Row>>
  stream?: (ctx: Context, query: ListQuery) => AsyncIterable<Row[]>
  get?: (ctx: Context, id: number) => Promise<Row>
  /** `moment` is a date and time, or a date. */
  asOf?: (ctx: Context, id: number, moment: string) => Promise<Row>
  create?: (ctx: Context, input: New) => Promise<Row>
  update?: (ctx: Context, id: number, changes: Changes, versions?: Versions) => Promise<Row>
  /** The record, which nobody else changes until the transaction of `ctx` has ended. */
  lock?: (ctx: Context, id: number, versions?: Versions) => Promise<Row>
  remove?: (ctx: Context, id: number, versions?: Versions) => Promise<void>
  restore?: (ctx: Context, id: number) => Promise<Row>
  history?: (ctx: Context, id: number, query: ListQuery) => Promise<Page<EventRow>>
  /** See `Upsertable`. */
  withLocks?: <T>(ctx: Context, work: (ctx: Context) => Promise<T>) => Promise<T>
  /** Where a record is cached; without it none is. */
  cacheKey?: (ctx: Context, id: number) => string
}

/** The operations as the routes call them: what they take has been validated. */
export type Service = Operations<Identified, never, never>

/** What the routes of a resource share. */
export interface Mount {
  app: FastifyInstance
  resource: Resource
  service: Service
  schema: TObject
  relations: Relations
  query: ListQueryReader
  /** Parameters of the path. */
  params: TObject
}

/** A record with the values of its examples. */
export const sampleOf = (schema: TObject): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(schema.properties).map(([name, { example }]) => [name, example as unknown])
  )

/** A record with its related records, which have a place of their own: they are not fields. */
export function withIncluded(schema: TObject, relations: Relations): TObject {
  const names = Object.keys(relations)
  if (names.length === 0) return schema
  const properties = names.map(name => [name, Type.Optional(relations[name]!.schema)] as const)
  const included = Type.Object(Object.fromEntries(properties), {
    additionalProperties: false,
    description:
      'Related records requested with `include`. Deleted records are omitted, unless only their ' +
      'names are returned.'
  })
  const { $id, description } = schema
  return Type.Object(
    { ...schema.properties, included: Type.Optional(included) },
    { ...($id && { $id }), ...(description && { description }), additionalProperties: false }
  )
}

/** An operation's options that all operations of a resource declare in one way. */
export function operation(
  { resource: { path } }: { resource: Pick<Resource, 'path'> },
  action: Action,
  declared: { operationId: string; summary: string; description: string },
  ...statuses: ProblemStatus[]
) {
  return {
    config: { permission: `${path}:${action}` },
    schema: { ...declared, tags: [path], ...problems(...statuses) }
  }
}
