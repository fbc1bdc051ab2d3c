import type { Context } from '../../../core/access/context.ts'
import { reaches } from '../../../core/access/permissions.ts'
import { assertMayExport } from '../../../core/access/risk.ts'
import { ruleBroken } from '../../../core/errors.ts'
import { streamCsv, streamNdjson } from '../../../core/http/formats.ts'
import { present } from '../../../core/http/presentation.ts'
import { servedNamed, type Served } from '../../../core/http/record-writes.ts'
import type { Mount } from '../../../core/http/resource-mount.ts'
import type { Filter } from '../../../core/records/filter.ts'
import { allResources, groupOf, resourceNamed } from '../../../core/records/resource.ts'
import type { Progress } from '../../../core/user-jobs.ts'
import { otherRights } from './errors.ts'
import type { Format } from './schema.ts'
import type { Rights } from './table.ts'

/** What an export is to have. */
export interface Wanted {
  types: string[]
  filter: string | null
  format: Format
  with_cursor: boolean
}

/** The names of what can be exported: records and settings that have lists. */
export const exportableTypes = (): string[] =>
  allResources()
    .filter(resource => ['records', 'settings'].includes(groupOf(resource)))
    .filter(({ name }) => servedNamed(name)?.service.stream !== undefined)
    .map(({ name }) => name)
    .toSorted()

/** The records of one type that an export has. */
export interface Part {
  served: Served & Pick<Mount, 'relations' | 'schema'>
  filters: Filter[]
}

/**
 * The parts of an export, as far as the caller may export. Errors: 403 without the permission for a
 * type, 422 for what several types cannot have, and for an invalid filter.
 */
export function partsOf(ctx: Context, { types, filter, format }: Wanted): Part[] {
  const isSingle = types.length === 1
  const rule = 'single_type'
  if (!isSingle && filter !== null)
    throw ruleBroken('filter', 'A filter requires a single type.', { rule })
  if (!isSingle && format === 'csv')
    throw ruleBroken('format', 'CSV requires a single type.', { rule })
  return types.map(type => {
    const served = servedNamed(type) as Part['served']
    assertMayExportType(ctx, type)
    const filters = filter === null ? [] : served.query.filtersIn(ctx, filter, 'filter')
    return { served, filters }
  })
}

function assertMayExportType(ctx: Context, type: string): void {
  const { path } = resourceNamed(type)
  ctx.require(`${path}:read`)
  ctx.require(`${path}:export`)
}

/** How many records the parts have. Errors: 403 for more than the credential may export. */
export async function countIn(ctx: Context, parts: Part[]): Promise<number> {
  let count = 0
  for (const { served, filters } of parts)
    count += (await served.service.list!(ctx, { filters, limit: 1, count: true })).total!
  await assertMayExport(ctx, async () => await Promise.resolve(count))
  return count
}

/** The parts as text, in the order of their types; `progress` counts the records. */
export async function* textOf(
  ctx: Context,
  parts: Part[],
  format: Format,
  progress: Progress
): AsyncGenerator<Uint8Array> {
  for (const { served, filters } of parts) {
    const { resource, service, query, schema, relations } = served
    const { fields } = query.read(ctx, {})
    const shown = { ...(fields && { fields }), include: [] }
    const batches = async function* () {
      for await (const rows of service.stream!(ctx, { filters, ...(fields && { fields }) })) {
        yield await present({ relations }, ctx, rows, shown)
        progress.done += rows.length
      }
    }
    yield* format === 'csv'
      ? streamCsv(batches(), fields ?? Object.keys(schema.properties), false)
      : streamNdjson(named(resource.name, batches()))
  }
}

async function* named(type: string, batches: AsyncIterable<object[]>) {
  for await (const rows of batches) yield rows.map(record => ({ type, record }))
}

/** What the caller can export of each type. */
export const rightsOf = (ctx: Context, types: string[]): Rights[] =>
  types.map(type => {
    const { path } = resourceNamed(type)
    const { access } = ctx.principal
    const places = [`${path}:read`, `${path}:export`].map(permission =>
      reaches.indexOf(access.reachOf(permission)!)
    )
    const hidden_fields = [...ctx.exporting.hiddenFields(path)]
    return { type, reach: reaches[Math.min(...places)]!, hidden_fields }
  })

/**
 * Errors: 403 for callers who may export less than whoever made an export could; others than that
 * user must reach all records, since what someone reaches is not the same.
 */
export function assertMayReadFile(ctx: Context, rights: Rights[], isOwn: boolean): void {
  for (const { type, reach, hidden_fields } of rights) {
    assertMayExportType(ctx, type)
    const [own] = rightsOf(ctx, [type])
    const needed = isOwn ? reach : 'all'
    const reachesAll = reaches.indexOf(own!.reach) >= reaches.indexOf(needed)
    const seesAll = new Set(own!.hidden_fields).isSubsetOf(new Set(hidden_fields))
    if (!reachesAll || !seesAll) throw otherRights()
  }
}
