import { isForTokens } from '../../../core/access/permissions.ts'
import { invalid, type Fault, type Problem } from '../../../core/errors.ts'
import { servedNamed, type Served } from '../../../core/http/record-writes.ts'
import { isMatchedBy } from '../../../core/http/resource-upserts.ts'
import { withArticle } from '../../../core/names.ts'
import { allResources, targetsOf, type Resource } from '../../../core/records/resource.ts'
import { kindOf, matchIn, parts, type Kind } from './kinds.ts'
import { refsIn, withIds } from './references.ts'
import type { BatchOperation } from './schema.ts'

/** Validates data by the schema with this `$id`, and returns what is wrong with it. */
export type Validate = (schemaId: string, data: unknown) => Problem | undefined

/** One operation of a batch, with what carries it out. */
export interface Item {
  index: number
  operation: BatchOperation
  served: Served
  kind: Kind
  /** The operations whose records it refers to, by the names of its references. */
  dependencies: Map<string, number>
}

/** A fault in the form of an operation. */
const fault = (index: number, place: string, code: string, detail: string, params = {}): Fault => ({
  pointer: `/operations/${index}${place}`,
  code,
  detail,
  params
})

/** Operations by the names of their references, and what their records are. */
type Named = Map<string, { index: number; resource: Resource | undefined }>

/**
 * The operations of a batch. Errors: 400 for unknown operations, and for references to no earlier
 * operation, or to one on another type of record.
 */
export function itemsOf(operations: BatchOperation[]): Item[] {
  const faults: Fault[] = []
  const named: Named = new Map()
  const items = operations.flatMap((operation, index) => {
    const item = itemOf(operation, index, named, faults)
    const { ref, type } = operation
    if (ref !== undefined) {
      if (named.has(ref))
        faults.push(fault(index, '/ref', 'duplicate', `${ref} is the ref of another operation`))
      named.set(ref, { index, resource: servedNamed(type)?.resource })
    }
    return item ? [item] : []
  })
  if (faults.length > 0) throw invalid(faults)
  return items
}

/** Whether batches change the records of a resource: no users, roles and the like. */
const isChanged = ({ schema, path }: Resource) =>
  schema !== undefined && isForTokens(`${path}:update`)

const types = () =>
  allResources()
    .filter(resource => servedNamed(resource.name) && isChanged(resource))
    .map(({ name }) => name)

function itemOf(
  operation: BatchOperation,
  index: number,
  named: Named,
  faults: Fault[]
): Item | undefined {
  const { type, op } = operation
  const served = servedNamed(type)
  if (!served || !isChanged(served.resource)) {
    const known = types()
    const detail = `${type} is not a type that a batch can change; known: ${known.join(', ')}`
    faults.push(fault(index, '/type', 'unknown', detail, { known }))
    return undefined
  }
  const kind = kindOf(op, served)
  if (!kind) {
    faults.push(
      fault(index, '/op', 'unknown', `${op} is not an operation on ${served.resource.pluralLabel}`)
    )
    return undefined
  }
  faults.push(...faultsOfParts(operation, index, served, kind))
  const dependencies = new Map<string, number>()
  const { id, data, match } = operation
  for (const { name, pointer } of refsIn({ id, data, match })) {
    const earlier = named.get(name)
    const detail = earlier
      ? faultOfType(name, earlier.resource, targetAt(served.resource, pointer))
      : `${name} is not the ref of an earlier operation`
    if (detail !== undefined) faults.push(fault(index, pointer, 'unknown', detail))
    else dependencies.set(name, earlier!.index)
  }
  if (typeof id === 'object' && refsIn(id).length === 0)
    faults.push(fault(index, '/id', 'invalid', 'id must be an ID or {"$ref": "…"}'))
  return { index, operation, served, kind, dependencies }
}

/** What the IDs at a place of an operation are of (`/id`, `/data/tags/0`), if that is known. */
function targetAt(resource: Resource, pointer: string): Resource | undefined {
  if (pointer === '/id') return resource
  const [part, field] = pointer.split('/').slice(1)
  return part === 'data' ? targetsOf(resource).get(field!) : undefined
}

/** An ID of another type would be that of an unrelated record. */
function faultOfType(name: string, of?: Resource, target?: Resource): string | undefined {
  if (!of || !target || of.name === target.name) return undefined
  return `${name} is the ref of ${withArticle(of.label)}, not of ${withArticle(target.label)}`
}

/** What an operation lacks, and what it has that it does not take. */
function faultsOfParts(
  operation: BatchOperation,
  index: number,
  served: Served,
  kind: Kind
): Fault[] {
  const { op, match } = operation
  const { needs, takes = [] } = kind
  const faults: Fault[] = []
  for (const name of parts) {
    const isNeeded = needs.includes(name)
    if (isNeeded && operation[name] === undefined)
      faults.push(fault(index, `/${name}`, 'required', `${op} requires ${name}`))
    const isBody = name === 'data' && kind.body(served) !== undefined
    const isTaken = isNeeded || isBody || takes.includes(name)
    if (!isTaken && operation[name] !== undefined)
      faults.push(fault(index, `/${name}`, 'unknown', `${op} takes no ${name}`))
  }
  if (match && needs.includes('match') && !isMatchedBy(served.resource, matchIn(match))) {
    const name = Object.keys(match).join()
    const detail = `${served.resource.pluralLabel} cannot be matched by ${name} like this`
    faults.push(fault(index, '/match', 'unknown', detail))
  }
  return faults
}

/**
 * The body of an operation with IDs in place of references. Each call returns a copy: carrying an
 * operation out may change its body. Errors: 400.
 */
export function bodyOf(
  { kind, served, operation }: Item,
  validate: Validate,
  idOf: (name: string) => number
): object {
  const body = withIds(kind.data?.(operation) ?? operation.data ?? null, idOf)
  const schema = kind.body(served)
  const problem = schema && validate(schema.$id!, body)
  if (problem) throw problem
  return body as object
}
