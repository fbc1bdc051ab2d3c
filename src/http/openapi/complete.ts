import { eventsOf } from './events.ts'
import { pascalCase } from '../../core/names.ts'
import { tagDescription } from '../../core/http/operations.ts'
import { truncatedInstant } from '../../core/http/schema.ts'
import {
  reference,
  type Document,
  type Operation,
  type Parameter,
  type Reference,
  type Response
} from './document.ts'
import { describeDryRuns } from './dry-runs.ts'
import { describePartialRecords, type Schemas } from './partial-records.ts'

/** Headers that every response has. */
export const commonHeaders = [
  'X-Request-Id',
  'RateLimit',
  'RateLimit-Policy',
  'Server-Timing',
  'Access-Control-Allow-Origin'
]

/** References to headers; the components have short names, since every response has them. */
export const headerReferences = (names: string[]) =>
  Object.fromEntries(names.map(name => [name, reference('headers', shortNames[name] ?? name)]))

export const shortNames: Record<string, string> = {
  'X-Request-Id': 'Id',
  RateLimit: 'Limit',
  'RateLimit-Policy': 'Policy',
  'Server-Timing': 'Timing',
  'Access-Control-Allow-Origin': 'Origin'
}

/**
 * Adds to a document what is the same for every operation or follows from what it declares:
 * response headers, problems, tags; and makes what is repeated shared components.
 */
export function completeDocument(
  document: Document,
  shared: { headers: Record<string, unknown>; responses: Record<string, unknown> }
): Document {
  dropInternals(document)
  for (const [path, operations] of Object.entries(document.paths))
    for (const [method, operation] of Object.entries(operations))
      completeOperation(path, method, operation)
  const all = Object.values(document.paths).flatMap(path => Object.values(path))
  const names = new Set(all.flatMap(({ tags = [] }) => tags))
  document.tags = [...names].map(name => ({ name, description: tagDescription(name) ?? name }))
  const schemas = (document.components?.schemas ?? {}) as Schemas
  shareProperties(schemas)
  describeDryRuns(all, schemas)
  describePartialRecords(all, schemas)
  const parameters = shareParameters(all)
  const responses = { ...shared.responses, ...shareResponses(all) }
  document.components = { ...document.components, ...shared, responses, parameters }
  return document
}

/**
 * Removes what is only for our validator: its keyword for instants, and the patterns that exclude
 * NUL and unpaired surrogates, which nobody can read, and whose escapes generators write into
 * source code as they are.
 */
function dropInternals(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  const schema = value as { pattern?: unknown; [truncatedInstant]?: unknown }
  delete schema[truncatedInstant]
  if (typeof schema.pattern === 'string' && schema.pattern.includes('\\uD800'))
    delete schema.pattern
  for (const part of Object.values(value)) dropInternals(part)
}

const stepUpNote =
  'Requires a login or a step-up within the last ten minutes; otherwise, it is a 403, ' +
  '`step_up_required`.'

function completeOperation(path: string, method: string, operation: Operation): void {
  const events = eventsOf(method, path, operation)
  if (events.length > 0) operation['x-events'] = events
  for (const response of Object.values(operation.responses))
    if (!('$ref' in response))
      response.headers = headerReferences([
        ...commonHeaders,
        ...Object.keys(response.headers ?? {})
      ])
  for (const status of problemsOf(method, operation))
    operation.responses[status] ??= reference('responses', String(status))
  delete operation['x-problems']
  for (const parameter of operation.parameters ?? []) liftStyle(parameter)
  if (operation['x-step-up']) operation.description += ` ${stepUpNote}`
  operation.security ??= [] // public on purpose
}

/** How a parameter is written is a property of the parameter; here, its schema declares it. */
function liftStyle(parameter: Parameter | Reference): void {
  if (!('schema' in parameter)) return
  const { style, explode, ...schema } = parameter.schema as Record<string, unknown>
  if (style !== undefined) Object.assign(parameter, { style, explode, schema })
}

/** The statuses of the problems that an operation responds with. */
function problemsOf(method: string, operation: Operation): number[] {
  const { security, parameters = [], responses, 'x-problems': declared = [] } = operation
  const takes = (where: string, name?: string) =>
    parameters.some(one => 'in' in one && one.in === where && (!name || one.name === name))
  const ok = responses[200]
  const contentTypes = ok && 'content' in ok ? Object.keys(ok.content ?? {}) : []
  return [
    400,
    408,
    429,
    431,
    500,
    503,
    ...(security ? [401, 403] : []),
    ...(takes('path') ? [404, 414] : []),
    ...(contentTypes.length > 1 ? [406] : []),
    ...(method === 'get' ? [] : [413, 415]),
    ...(takes('header', 'if-match') ? [412] : []),
    ...(takes('header', 'idempotency-key') ? [409, 422] : []),
    ...(takes('header', 'if-plan') ? [412, 428] : []),
    ...declared
  ]
}

/** How many schemas must have the same property for it to become a schema of its own. */
const sharedByAtLeast = 6

/** Makes the properties that nearly every record has, such as `created_at`, shared schemas. */
function shareProperties(schemas: Schemas): void {
  const uses = new Map<string, number>()
  const all = Object.values(schemas).flatMap(({ properties = {} }) => Object.entries(properties))
  for (const [name, property] of all) {
    const key = JSON.stringify({ [name]: property })
    uses.set(key, (uses.get(key) ?? 0) + 1)
  }
  for (const { properties = {} } of Object.values(schemas)) {
    for (const [name, property] of Object.entries(properties)) {
      const isShared = uses.get(JSON.stringify({ [name]: property }))! >= sharedByAtLeast
      // a field that bodies have in another form than records has a name for each
      const component = [pascalCase(name), `${pascalCase(name)}Input`].find(
        component => !schemas[component] || isSame(schemas[component], property)
      )
      if (!isShared || '$ref' in property) continue
      if (!component) throw new Error(`the property ${name} is shared in more than two forms`)
      schemas[component] ??= property
      properties[name] = reference('schemas', component)
    }
  }
}

/** Whether two schemas are the same but for their examples. */
const isSame = (one: object, other: object) => {
  const [a, b] = [one, other].map(schema => JSON.stringify({ ...schema, example: undefined }))
  return a === b
}

interface Use {
  name: string
  tag: string
  count: number
}

/**
 * Names for those values that are used several times, by their JSON: the name given, or with the
 * tag of its first use, `leads.status`, where different values have the same name.
 */
function namesOfShared(uses: Map<string, Use>): Map<string, string> {
  const meanings = Map.groupBy(uses.values(), ({ name }) => name)
  const shared = [...uses].filter(([, { count }]) => count > 1)
  const names = new Map(
    shared.map(([key, { name, tag }]) => [
      key,
      meanings.get(name)!.length === 1 ? name : `${tag}.${name}`
    ])
  )
  if (new Set(names.values()).size < names.size) throw new Error('shared names are ambiguous')
  return names
}

function countUse(uses: Map<string, Use>, key: string, name: string, tag: string): void {
  const use = uses.get(key) ?? { name, tag, count: 0 }
  use.count++
  uses.set(key, use)
}

const componentsOf = (names: Map<string, string>): Record<string, unknown> =>
  Object.fromEntries(
    [...names]
      .map(([key, name]): [string, unknown] => [name, JSON.parse(key)])
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
  )

/** Replaces parameters that several operations have by references, and returns them by name. */
function shareParameters(operations: Operation[]): Record<string, unknown> {
  const uses = new Map<string, Use>()
  for (const { parameters = [], tags = [] } of operations)
    for (const parameter of parameters as Parameter[])
      countUse(uses, JSON.stringify(parameter), parameterName(parameter), tags[0]!)
  const names = namesOfShared(uses)
  for (const operation of operations) {
    if (!operation.parameters) continue
    operation.parameters = operation.parameters.map(parameter => {
      const name = names.get(JSON.stringify(parameter))
      return name === undefined ? parameter : reference('parameters', name)
    })
  }
  return componentsOf(names)
}

/** `limit`, `score.gte`, `path.id`. */
function parameterName({ name, in: place }: Parameter): string {
  const plain = name.replaceAll('[', '.').replaceAll(']', '')
  return place === 'query' ? plain : `${place}.${plain}`
}

interface Union {
  anyOf: Partial<Reference>[]
}

/** The same for responses; they are named after their schemas, without one after their status. */
function shareResponses(operations: Operation[]): Record<string, unknown> {
  const uses = new Map<string, Use>()
  const each = operations.flatMap(operation =>
    Object.entries(operation.responses)
      .filter(([, response]) => !('$ref' in response))
      .map(([status, response]) => ({ operation, status, response: response as Response }))
  )
  for (const { operation, status, response } of each)
    countUse(uses, JSON.stringify(response), responseName(status, response), operation.tags![0]!)
  const names = namesOfShared(uses)
  for (const { operation, status, response } of each) {
    const name = names.get(JSON.stringify(response))
    if (name !== undefined) operation.responses[status] = reference('responses', name)
  }
  return componentsOf(names)
}

const prefixes: Record<string, string> = { 201: 'New', 202: 'Accepted' }

function responseName(status: string, { content = {}, headers = {} }: Response): string {
  const schema = (Object.values(content)[0]?.schema ?? {}) as Partial<Reference & Union>
  const members = schema.anyOf ?? [schema]
  const names = members.flatMap(({ $ref }) => $ref?.split('/').at(-1) ?? [])
  const existing = 'Plan' in headers ? 'Changed' : '' // of a write, whose headers are others
  const prefix = prefixes[status] ?? existing
  return names.length === 0 ? status : prefix + names.join('Or')
}
