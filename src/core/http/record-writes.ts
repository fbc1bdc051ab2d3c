import { isDeepStrictEqual } from 'node:util'
import type { Context } from '../access/context.ts'
import { stale, type Problem } from '../errors.ts'
import { sentenceCase, withArticle } from '../names.ts'
import type { Versions } from '../records/repository.ts'
import { fieldSchema } from '../records/resource.ts'
import { assertShown, assertWritable, placesIn, placesOf } from '../records/visibility.ts'
import { assertUnchanged, dropUnchanged, fieldsIn, repeatsFixedFields } from './bodies.ts'
import type { Mount } from './resource-mount.ts'
import type { Identified } from './responses.ts'

/** A resource, and what is behind its routes: its service, and how its lists are requested. */
export type Served = Pick<Mount, 'resource' | 'service' | 'query'>

const served = new Map<string, Served>()

/** Makes known what is behind the routes of a resource, for requests about records of any type. */
export function serve(one: Served): void {
  served.set(one.resource.name, one)
}

/** What is behind the routes of the resource with this name, if it has any. */
export const servedNamed = (name: string): Served | undefined => served.get(name)

/** Creates a record from a validated body. Errors: of the service; 400, 403 for its fields. */
export async function createRecord(
  { resource, service }: Served,
  ctx: Context,
  body: object
): Promise<Identified> {
  assertWritable(ctx, resource, 'create', placesIn(body))
  return await service.create!(ctx, body as never)
}

/**
 * Changes a record by a validated body, in which fields that the caller cannot change may be
 * repeated. Errors: as `createRecord`; 409 for another value of such a field.
 */
export async function updateRecord(
  { resource, service }: Served,
  ctx: Context,
  id: number,
  body: object,
  versions: Versions
): Promise<Identified> {
  const { get, update } = service
  const fields = fieldsIn(body)
  assertShown(ctx, resource, placesOf(fields))
  const readOnly = ctx.principal.access.readOnlyFields(`${resource.path}:update`)
  if (get && (repeatsFixedFields(body) || fields.some(name => readOnly.has(name)))) {
    const record = await get(ctx, id)
    // a stale record also repeats stale values, and only a 412 has the current ETag
    if (versions && !versions.includes(record.version)) throw stale(record.version)
    assertUnchanged(body, record)
    dropUnchanged(body, record, readOnly)
  }
  assertWritable(ctx, resource, 'update', placesIn(body))
  return await update!(ctx, id, body as never, versions)
}

/** The problem for a list with too many members. */
type TooMany = (detail: string, params: { rule: string; field: string; maximum: number }) => Problem

/**
 * Changes the members of a list of a record, such as its tags, which nobody else changes meanwhile.
 * Errors: of the service; `tooMany` for more members than the list can have.
 */
export async function changeMembers(
  { resource, service }: Served,
  ctx: Context,
  { id, field, versions }: { id: number; field: string; versions?: Versions },
  change: (members: unknown[]) => unknown[],
  tooMany: TooMany
): Promise<Identified> {
  // the locks of an update come before that of the record
  const { lock, update, withLocks = async (ctx, work) => await work(ctx) } = service
  const maximum = fieldSchema(resource.schema!, field).maxItems as number
  return await ctx.transaction(
    async ctx =>
      await withLocks(ctx, async ctx => {
        const record = await lock!(ctx, id, versions)
        const before = (record as Identified & Record<string, unknown[]>)[field]!
        const after = change(before)
        if (isDeepStrictEqual(after, before)) return record
        if (after.length > Math.max(maximum, before.length)) {
          const one = sentenceCase(withArticle(resource.label))
          const detail = `${one} can have at most ${maximum} ${field}: remove others first.`
          throw tooMany(detail, { rule: 'max_items', field, maximum })
        }
        return await update!(ctx, id, { [field]: after } as never)
      })
  )
}
