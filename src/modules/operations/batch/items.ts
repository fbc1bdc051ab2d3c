import { isForTokens } from '../../../core/access/permissions.ts'
import { invalid, type Fault, type Problem } from '../../../core/errors.ts'
import { servedNamed, type Served } from '../../../core/http/record-writes.ts'
import { isMatchedBy } from '../../../core/http/resource-upserts.ts'
import { kindOf, matchedIn, matchIn, type Kind } from './kinds.ts'
import { refIn, withIds } from './references.ts'
import type { BatchOperation } from './schema.ts'

/** Validates data by the schema with this `$id`, and returns what is wrong with it. */
export type Validate = (schemaId: string, data: unknown) => Problem | undefined

/** One operation of a batch, as it is understood. */
export interface Item {
  index: number
  operation: BatchOperation
  served: Served
  kind: Kind
  /** The operations whose records it refers to, by the names of its references. */
  dependencies: Map<string, number>
}

/** Something that is wrong with the form of an operation. */
const fault = (index: number, place: string, code: string, detail: string, params = {}): Fault => ({
  pointer: `/operations/${index}${place}`,
  code,
  detail,
  params
})

/**
 * The operations of a batch. Errors: 400 for operations that there are not, and for references to
 * none of the operations before.
 */
export function itemsOf(operations: BatchOperation[]): Item[] {
  const faults: Fault[] = []
  const names = new Map<string, number>()
  const items = operations.flatMap((operation, index) => {
    const item = itemOf(operation, index, names, faults)
    if (operation.ref !== undefined) {
      if (names.has(operation.ref))
        faults.push(
          fault(index, '/ref', 'duplicate', `ref ${operation.ref} is that of another operation`)
        )
      names.set(operation.ref, index)
    }
    return item ? [item] : []
  })
  if (faults.length > 0) throw invalid(faults)
  return items
}

function itemOf(
  operation: BatchOperation,
  index: number,
  names: ReadonlyMap<string, number>,
  faults: Fault[]
): Item | undefined {
  const { type, op } = operation
  const served = servedNamed(type)
  const isType = served?.resource.schema && isForTokens(`${served.resource.path}:update`)
  if (!served || !isType) {
    faults.push(
      fault(index, '/type', 'unknown', `${type} is no type of record that batches change`)
    )
    return undefined
  }
  const kind = kindOf(op, served)
  if (!kind) {
    faults.push(
      fault(index, '/op', 'unknown', `${op} is no operation of ${served.resource.pluralLabel}`)
    )
    return undefined
  }
  faults.push(...faultsOfParts(operation, index, served, kind))
  const dependencies = new Map<string, number>()
  const note = (place: string) => (name: string, pointer: string) => {
    const earlier = names.get(name)
    if (earlier === undefined)
      faults.push(
        fault(index, `${place}${pointer}`, 'unknown', `${name} is the ref of no earlier operation`)
      )
    else dependencies.set(name, earlier)
    return 1
  }
  withIds(operation.id, note('/id'))
  withIds(operation.data, note('/data'))
  withIds(operation.match, note('/match'))
  return { index, operation, served, kind, dependencies }
}

const parts = ['id', 'data', 'match', 'if_match', 'on_match', 'on_deleted'] as const

/** What an operation has that it should not have, and the other way round. */
function faultsOfParts(
  operation: BatchOperation,
  index: number,
  served: Served,
  kind: Kind
): Fault[] {
  const { op, id, match, data } = operation
  const faults: Fault[] = []
  const takes = new Set<string>([...kind.needs, ...(kind.takes ?? [])])
  if (kind.body(served)) takes.add('data')
  for (const name of parts) {
    if (takes.has(name) || operation[name] === undefined) continue
    faults.push(fault(index, `/${name}`, 'unknown', `${op} takes no ${name}`))
  }
  for (const name of kind.needs)
    if (operation[name] === undefined)
      faults.push(fault(index, `/${name}`, 'required', `${op} requires ${name}`))
  if (typeof id === 'object' && refIn(id) === undefined)
    faults.push(fault(index, '/id', 'invalid', 'id must be an ID or {"$ref": "…"}'))
  if (match && takes.has('match')) faults.push(...faultsOfMatch(match, data ?? {}, index, served))
  return faults
}

function faultsOfMatch(
  match: object,
  data: Record<string, unknown>,
  index: number,
  { resource }: Served
): Fault[] {
  const by = matchIn(match as Record<string, unknown>)
  const name = Object.keys(match).join()
  if (!isMatchedBy(resource, by)) {
    const detail = `${resource.pluralLabel} cannot be matched by this ${name}`
    return [fault(index, '/match', 'unknown', detail)]
  }
  const given = matchedIn(data, by)
  if (given === undefined || given === by.value) return []
  const place = by.source === undefined ? by.field : 'external_ids'
  return [fault(index, `/data/${place}`, 'invalid', `${place} must be what match says`)]
}

/**
 * The data of an operation with IDs in place of references, and what is wrong with it, if anything.
 * Each call returns a copy: carrying an operation out may change its data.
 */
export function dataOf(
  { kind, served, operation }: Item,
  validate: Validate,
  idOf: (name: string) => number
): { body: object; problem: Problem | undefined } {
  const data = kind.data?.(operation) ?? operation.data ?? null
  const body = withIds(data, idOf)
  const schema = kind.body(served)
  const problem = schema && validate(schema.$id!, body)
  return { body: body as object, problem }
}
