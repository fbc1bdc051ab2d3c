import type { SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Context } from '../access/context.ts'
import { record } from '../db/columns.ts'
import { Column, is, SQL as Expression } from '../db/drizzle.ts'
import { readOnlyFields, unknownFields } from '../errors.ts'
import type { EventRow } from './events.ts'
import { groupOf, resourceOf, type Resource } from './resource.ts'

/** The columns that an SQL expression names, also in its parts. */
export const columnsIn = (expression: SQL): PgColumn[] =>
  expression.queryChunks.flatMap(chunk => {
    if (is(chunk, Expression)) return columnsIn(chunk)
    return is(chunk, Column) ? [chunk as PgColumn] : []
  })

/**
 * The fields of a resource that a role can hide: not those that every record has, nor those by
 * which a record is named where others refer to it.
 */
export function hideableFields(resource: Resource): string[] {
  const { schema, table, title, summary, membershipIn, essential = [] } = resource
  if (groupOf(resource) !== 'records') return []
  const named = title ? columnsIn(title).filter(column => column.table === table) : []
  const always = new Set([
    ...Object.keys(record()),
    ...named.map(({ name }) => name),
    ...essential,
    ...Object.keys(summary?.properties ?? {}),
    membershipIn
  ])
  return Object.keys(schema?.properties ?? {}).filter(field => !always.has(field))
}

/** The fields of a resource that a role can make read-only. */
export function protectableFields(resource: Resource): string[] {
  const { create, update } = resource
  if (groupOf(resource) !== 'records') return []
  return [...new Set([create, update].flatMap(one => Object.keys(one?.properties ?? {})))]
}

/** Whether the caller does not see a column, which is a field of its records. */
export function isHidden(ctx: Context, { table, name }: PgColumn): boolean {
  const resource = resourceOf(table)
  return resource !== undefined && ctx.hiddenFields(resource.path).has(name)
}

/** Whether the caller may set a field of a resource, by `create` or `update`. */
export const isWritable = (
  ctx: Context,
  path: string,
  action: 'create' | 'update',
  field: string
): boolean =>
  !ctx.hiddenFields(path).has(field) &&
  !ctx.principal.access.readOnlyFields(`${path}:${action}`).has(field)

/**
 * Errors: 400 for a field that the caller does not see, 403 for one that is read-only. `fields`:
 * those to be set, with their places in the body.
 */
export function assertWritable(
  ctx: Context,
  resource: Resource,
  action: 'create' | 'update',
  fields: Readonly<Record<string, string>>
): void {
  assertShown(ctx, resource, fields)
  const names = Object.keys(fields)
  const readOnly = names.filter(name => !isWritable(ctx, resource.path, action, name))
  if (readOnly.length > 0) throw readOnlyFields(readOnly.map(name => fields[name]!))
}

/** Errors: 400 for a field that the caller does not see. `fields`: as in `assertWritable`. */
export function assertShown(
  ctx: Context,
  { path }: Resource,
  fields: Readonly<Record<string, string>>
): void {
  const hidden = Object.keys(fields).filter(name => ctx.hiddenFields(path).has(name))
  if (hidden.length > 0) throw unknownFields(hidden.map(name => fields[name]!))
}

/** What of `fields` the caller may set. */
export const writableOf = <Fields extends object>(
  ctx: Context,
  { path }: Resource,
  action: 'create' | 'update',
  fields: Fields
): Fields =>
  Object.fromEntries(
    Object.entries(fields).filter(([field]) => isWritable(ctx, path, action, field))
  ) as Fields

/** Fields of a body, at their places in it. */
export const placesOf = (fields: string[]): Record<string, string> =>
  Object.fromEntries(fields.map(field => [field, `/${field}`]))

/** All fields of a body, at their places in it. */
export const placesIn = (body: object): Record<string, string> => placesOf(Object.keys(body))

/** The fields of a resource that the caller sees; undefined: all of them. */
export function shownFields(
  ctx: Context,
  { path, schema }: Pick<Resource, 'path' | 'schema'>
): string[] | undefined {
  const hidden = ctx.hiddenFields(path)
  if (hidden.size === 0) return undefined
  return Object.keys(schema?.properties ?? {}).filter(field => !hidden.has(field))
}

/** A record of a resource, or a part of one, without what the caller does not see. */
export function shownOf<Row extends object>(ctx: Context, { path }: Resource, row: Row): Row {
  const hidden = ctx.hiddenFields(path)
  if (hidden.size === 0) return row
  return Object.fromEntries(Object.entries(row).filter(([field]) => !hidden.has(field))) as Row
}

/** A change of a record of a resource, without what the caller does not see. */
export function shownEvent<E extends EventRow>(ctx: Context, resource: Resource, event: E): E {
  const hidden = ctx.hiddenFields(resource.path)
  if (hidden.size === 0) return event
  const { changed, before, after } = event
  return {
    ...event,
    changed: changed.filter(field => !hidden.has(field)),
    before: before && shownOf(ctx, resource, before),
    after: after && shownOf(ctx, resource, after)
  }
}
