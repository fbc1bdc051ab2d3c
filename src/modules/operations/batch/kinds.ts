import type { TSchema } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { invalid } from '../../../core/errors.ts'
import { createRecord, updateRecord, type Served } from '../../../core/http/record-writes.ts'
import {
  isUpserted,
  keyIn,
  upsertable,
  upsertSchemaOf,
  type MatchedBy
} from '../../../core/http/resource-upserts.ts'
import type { Identified } from '../../../core/http/responses.ts'
import { actionOf } from '../../../core/records/actions.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import { uniqueFields } from '../../../core/records/set-writes.ts'
import { upsert } from '../../../core/records/upsert.ts'
import { assertWritable, isWritable, placesOf } from '../../../core/records/visibility.ts'
import type { BatchOperation, outcomes } from './schema.ts'

type Outcome = (typeof outcomes)[number]

/** What an operation is carried out with: validated, with IDs in place of references. */
export interface Input {
  operation: BatchOperation
  id: number
  body: object
  versions: Versions
  lenient: boolean
}

/** What an operation did; without an `outcome`, its `row` tells whether it was changed. */
export interface Done {
  status: number
  outcome?: Outcome
  row?: Identified
}

/** How several operations are one statement, where the service has none of its own for them. */
interface Together {
  /** The operation of the service, which must be that of the repository. */
  method: 'create' | 'update' | 'remove' | 'restore'
  /** What those of one statement have in common; undefined for one that is carried out alone. */
  shapeOf?: (served: Served, ctx: Context, data: object) => string | undefined
  /**
   * `whole`: whether all of each record is needed. Returns undefined for those that are impossible.
   * Errors: those of Postgres, 403; 409 if the order of the operations counts.
   */
  run: (
    served: Served,
    ctx: Context,
    inputs: Input[],
    whole: boolean
  ) => Promise<(Done | undefined)[]>
}

/** What an operation can have besides its name, its type and its `ref`. */
export const parts = ['id', 'data', 'match', 'if_match', 'on_match', 'on_deleted'] as const
type Part = (typeof parts)[number]

/** What an operation can be. */
export interface Kind {
  needs: readonly Part[]
  /** What else it can have; `data` as well if it has a schema for that. */
  takes?: readonly Part[]
  /** Its outcome if the version of the record changes; by default, `updated`. */
  changes?: Outcome
  /** Whether a resource has it. */
  isOffered: (served: Served) => boolean
  /** The body of an operation: by default, its `data`. Errors: 400. */
  data?: (operation: BatchOperation) => unknown
  /** The schema of the body, which has an `$id`; undefined if there is none. */
  body: (served: Served) => Pick<TSchema, '$id'> | undefined
  run: (served: Served, ctx: Context, input: Input) => Promise<Done>
  together?: Together
}

const created = (row: Identified): Done => ({ status: 201, outcome: 'created', row })
const changed = (row: Identified): Done => ({ status: 200, row })
const deleted: Done = { status: 204, outcome: 'deleted' }

const create: Kind = {
  needs: ['data'],
  isOffered: ({ resource, service }) => Boolean(service.create && resource.create),
  body: ({ resource }) => resource.create,
  run: async (served, ctx, { body }) => {
    ctx.require(`${served.resource.path}:create`)
    return created(await createRecord(served, ctx, body))
  },
  together: {
    method: 'create',
    run: async ({ resource }, ctx, inputs, whole) => {
      ctx.require(`${resource.path}:create`)
      const fields = new Set(inputs.flatMap(({ body }) => Object.keys(body)))
      assertWritable(ctx, resource, 'create', placesOf([...fields]))
      const bodies = inputs.map(({ body }) => body)
      const rows = await repository(resource).createEach(ctx, bodies, whole)
      return rows.map(row => row && created(row))
    }
  }
}

const update: Kind = {
  needs: ['id', 'data'],
  takes: ['if_match'],
  isOffered: ({ resource, service }) => Boolean(service.update && resource.update),
  body: ({ resource }) => resource.update,
  run: async (served, ctx, { id, body, versions }) => {
    ctx.require(`${served.resource.path}:update`)
    return changed(await updateRecord(served, ctx, id, body, versions))
  },
  together: {
    method: 'update',
    shapeOf: ({ resource }, ctx, data) => {
      const fields = Object.keys(data)
      const isPlain = (field: string) =>
        field in resource.update!.properties &&
        isWritable(ctx, resource.path, 'update', field) &&
        !uniqueFields(resource).has(field)
      return fields.length > 0 && fields.every(isPlain) ? fields.toSorted().join() : undefined
    },
    run: async ({ resource }, ctx, inputs, whole) => {
      ctx.require(`${resource.path}:update`)
      const changes = inputs.map(input => ({ ...input.body, ...targetOf(input) }))
      const rows = await repository(resource).updateEach(ctx, changes, whole)
      return rows.map(row => row && changed(row))
    }
  }
}

/** The record that an operation is for, and the version that it must have, if any. */
const targetOf = ({ id, versions }: Input) => ({ id, version: versions?.[0] })

const remove: Kind = {
  needs: ['id'],
  takes: ['if_match'],
  isOffered: ({ service }) => service.remove !== undefined,
  body: () => undefined,
  run: async ({ resource, service }, ctx, { id, versions }) => {
    ctx.require(`${resource.path}:delete`)
    await service.remove!(ctx, id, versions)
    return deleted
  },
  together: {
    method: 'remove',
    run: async ({ resource }, ctx, inputs) => {
      ctx.require(`${resource.path}:delete`)
      const rows = await repository(resource).removeEach(ctx, inputs.map(targetOf))
      return rows.map(row => row && deleted)
    }
  }
}

const restore: Kind = {
  needs: ['id'],
  changes: 'restored',
  isOffered: ({ service }) => service.restore !== undefined,
  body: () => undefined,
  run: async ({ resource, service }, ctx, { id }) => {
    ctx.require(`${resource.path}:delete`)
    return changed(await service.restore!(ctx, id))
  },
  together: {
    method: 'restore',
    run: async ({ resource }, ctx, inputs, whole) => {
      ctx.require(`${resource.path}:delete`)
      const targets = inputs.map(targetOf)
      const rows = await repository(resource).restoreEach(ctx, targets, whole)
      return rows.map(row => row && changed(row))
    }
  }
}

const upsertKind: Kind = {
  needs: ['match', 'data'],
  takes: ['if_match', 'on_match', 'on_deleted'],
  isOffered: isUpserted,
  body: ({ resource }) => ({ $id: upsertSchemaOf(resource.name) }),
  data: ({ data, match }) => withMatch({ ...data }, matchIn(match!)),
  run: async (served, ctx, { operation, body, versions }) => {
    const { resource } = served
    const input = body as Record<string, unknown>
    const options = {
      key: await keyIn(ctx, resource, matchIn(operation.match!), input),
      on_match: operation.on_match,
      on_deleted: operation.on_deleted,
      versions,
      mustExist: versions !== undefined
    }
    const { row, outcome } = await upsert(ctx, resource, upsertable(served)!, options, input)
    return { status: outcome === 'created' ? 201 : 200, outcome, row }
  }
}

interface Match extends MatchedBy {
  value: unknown
}

/** `{"email": …}`, or `{"external": {"erp": …}}`. */
export function matchIn(match: Record<string, unknown>): Match {
  const [[field, value]] = Object.entries(match) as [[string, unknown]]
  const isMap = field === 'external' && typeof value === 'object' && value !== null
  const sources = isMap ? (Object.entries(value) as [string, unknown][]) : []
  const [[source, id] = []] = sources
  return sources.length === 1 ? { field, source, value: id } : { field, source: undefined, value }
}

/** Data with the value that it is matched by. Errors: 400 for data with another one. */
function withMatch(data: Record<string, unknown>, { field, source, value }: Match) {
  const { external_ids } = data as { external_ids?: Record<string, unknown> | null }
  const given = source === undefined ? data[field] : external_ids?.[source]
  if (given !== undefined && given !== value) {
    const name = source === undefined ? field : `external_ids/${source}`
    const detail = `${name} must have the value in match`
    throw invalid([{ pointer: `/${name}`, code: 'invalid', detail, params: { value } }])
  }
  if (source === undefined) return { ...data, [field]: value }
  // what is no map is refused as such
  if (external_ids !== undefined && typeof external_ids !== 'object') return data
  return { ...data, external_ids: { ...external_ids, [source]: value } }
}

const kinds: Record<string, Kind> = {
  create,
  update,
  upsert: upsertKind,
  delete: remove,
  restore
}

/** An action of the records of one type. */
function actionKind(name: string, { resource }: Served): Kind | undefined {
  const action = actionOf(resource, name)
  return (
    action && {
      needs: ['id'],
      takes: ['if_match'],
      isOffered: () => true,
      body: () => action.body,
      run: async (_, ctx, { id, body, versions, lenient }) => {
        ctx.require(action.permission)
        return changed(await action.run(ctx, id, body as never, { versions, lenient }))
      }
    }
  )
}

/** What an operation of this name is for a resource; undefined if it has no such operation. */
export function kindOf(name: string, served: Served): Kind | undefined {
  const kind = Object.hasOwn(kinds, name) ? kinds[name] : actionKind(name, served)
  return kind?.isOffered(served) ? kind : undefined
}

/** Whether operations of this name require a plan of credentials that need one. */
export const isDestructive = (name: string): boolean => name === 'delete' || name === 'restore'
