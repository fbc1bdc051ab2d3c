import type { Context } from '../../../core/access/context.ts'
import { definePermission } from '../../../core/access/permissions.ts'
import { defineOwners } from '../../../core/access/reach.ts'
import { assertMayExport } from '../../../core/access/risk.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { actor, organization, ours } from '../../../core/db/sql.ts'
import { conflict, notFound } from '../../../core/errors.ts'
import type { SentFile } from '../../../core/http/file-responses.ts'
import { recordAccess, recordExport } from '../../../core/records/events.ts'
import { cursorOf } from '../../../core/records/feed.ts'
import { inSnapshot } from '../../../core/records/snapshot.ts'
import type { Services } from '../../../core/services.ts'
import {
  completeJob,
  defineUserJob,
  failJob,
  Overtaken,
  type JobError,
  type Progress
} from '../../../core/user-jobs.ts'
import { close, giveBack, lease, namesInUse, release, renew } from './leases.ts'
import type { Leased, Made } from './leases.ts'
import { assertMayReadFile, countIn, partsOf, rightsOf, textOf, type Wanted } from './parts.ts'
import type { Export, NewExport } from './schema.ts'
import { exports, type Rights } from './table.ts'

const path = 'exports'
for (const action of ['read', 'export']) definePermission(`${path}:${action}`, 'own', true)
defineOwners(path, { path, name: 'export', owners: ['created_by'], isShareable: false })

/** What the author of an export needs besides the permissions for its types. */
const permission = `${path}:export`
const job = defineUserJob<object>('export', { permission, isQueued: false })

const mediaTypes = { csv: 'text/csv', ndjson: 'application/x-ndjson' } as const

export const exportService = {
  permission,

  /**
   * Has an export made by a job of the same ID, which it returns. Errors: 403 without the
   * permission for a type, 422.
   */
  async create(ctx: Context, given: NewExport): Promise<number> {
    const { types, filter = null, format = 'ndjson', with_cursor = true } = given
    const parts = partsOf(ctx.exporting, { types, filter, format, with_cursor })
    return await ctx.transaction(async ctx => {
      const id = await job.start(ctx, {})
      await ctx.write(
        [],
        sql`insert into ${exports}
          (organization_id, id, types, filter, format, with_cursor, created_by)
        values (${organization}, ${id}, ${sql.param(types)}::text[], ${filter}::text,
          ${format}::text, ${with_cursor}::bool, ${actor})`
      )
      const parameters = filter === null ? {} : { filter }
      for (const { served } of parts)
        await recordExport(ctx, served.resource.path, mediaTypes[format], parameters)
      return id
    })
  },

  /** An export of the caller; of anyone, for administrators. Errors: 404. */
  async get(ctx: Context, id: number): Promise<Export> {
    const { file, rights: _, ...row } = await find(ctx, id)
    return { ...row, href: file === null ? null : hrefOf(id) }
  },

  /**
   * The file of an export; that it is read is recorded. Errors: 404; 409 if it is not there yet;
   * 403 for those who may not export all of it now.
   */
  async openFile(ctx: Context, id: number): Promise<SentFile> {
    const { file, rights, created_by, types, ...row } = await find(ctx, id)
    const { rows, bytes, sha256, format } = row
    if (file === null)
      throw conflict(`The export is not complete: GET /api/jobs/${id} shows its progress.`)
    assertMayReadFile(ctx, rights!, created_by === ctx.user_id)
    await assertMayExport(ctx, async () => await Promise.resolve(rows!))
    await recordAccess(ctx, 'export.downloaded', { export_id: id, types, rows })
    const path = ctx.services.files.pathOf(ctx.organization_id, file)
    const name = `export-${id}.${format}`
    return { path, name, type: mediaTypes[format], bytes: bytes!, sha256: sha256! }
  },

  lease,
  renew,
  release,
  giveBack,
  close,

  /**
   * Writes the file of an export with the rights that `ctx` has, from one snapshot. `progress` is
   * how far it is. Errors: 403, 422; those of `signal`.
   */
  async make(ctx: Context, wanted: Wanted, progress: Progress, signal: AbortSignal): Promise<Made> {
    const { types, format, with_cursor } = wanted
    const parts = partsOf(ctx.exporting, wanted)
    return await inSnapshot(
      ctx.exporting,
      async (snapshot, place) => {
        const reading = snapshot.exporting
        progress.total = await countIn(reading, parts)
        const text = textOf(reading, parts, format, progress)
        const { files } = ctx.services
        const { name: file, ...facts } = await files.write(
          ctx.organization_id,
          format,
          text,
          signal
        )
        const cursor = place ? cursorOf(place) : null
        return { file, ...facts, cursor, rows: progress.done, rights: rightsOf(ctx, types) }
      },
      with_cursor
    )
  },

  /** Completes an export and its job. Errors: `Overtaken`, and the file is removed. */
  async complete(ctx: Context, leased: Leased, made: Made): Promise<void> {
    const { id } = leased
    const { cursor, rows, sha256, file } = made
    try {
      await ctx.transaction(async ctx => {
        const result = { href: hrefOf(id), cursor, rows, sha256 }
        const isDone = await completeJob(ctx, id, rows, result)
        if (!isDone || !(await close(ctx, leased, made))) throw new Overtaken()
      })
    } catch (error) {
      await ctx.services.files.remove(ctx.organization_id, file)
      throw error
    }
  },

  /** Ends an export that cannot be made. */
  async fail(ctx: Context, leased: Leased, error: JobError): Promise<void> {
    await ctx.transaction(async ctx => {
      if (await close(ctx, leased)) await failJob(ctx, leased.id, error)
    })
  },

  /** Removes the files of exports that have expired, or that were interrupted. */
  async sweep(services: Services): Promise<void> {
    await services.files.removeOrphans(async names => await namesInUse(services, names))
  }
}

const hrefOf = (id: number) => `/api/${path}/${id}/content`

type Row = Omit<Export, 'href'> & { file: string | null; rights: Rights[] | null }

async function find(ctx: Context, id: number): Promise<Row> {
  const [row] = await ctx.read<Row>(
    sql`select id, types, filter, format, with_cursor, file, cursor, rows, bytes, sha256, rights,
        created_by, created_at, expires_at
      from ${ours(exports)} where id = ${id} and (is_open or expires_at > now())`
  )
  if (!row) throw notFound('export')
  return row
}
