import { isDeepStrictEqual } from 'node:util'
import { Problem } from '../errors.ts'
import type { Failure } from './validation.ts'

type Json = Record<string, unknown>

/** What a schema of a body, or of a part of it, has that matters here. */
export interface BodySchema {
  $id?: string
  $ref?: string
  nullable?: boolean
  properties?: Record<string, BodySchema>
  items?: BodySchema
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What bodies have at most: properties in an object, and values in all. */
const maxProperties = 200
const maxValues = 100_000
/** How deep bodies are looked into: no schema is deeper, so nothing further down is an error. */
const maxDepth = 30

/**
 * What a body has more of than any body can have, which is refused before it is validated: each
 * value could be an error of its own.
 */
export function excessIn(body: unknown): Failure | undefined {
  let values = 0
  const find = (value: unknown, instancePath: string, depth: number): Failure | undefined => {
    if (typeof value !== 'object' || value === null || depth > maxDepth) return undefined
    const entries = Object.entries(value)
    values += entries.length
    if (values > maxValues) return tooMany('', maxValues, 'values')
    if (!Array.isArray(value) && entries.length > maxProperties)
      return tooMany(instancePath, maxProperties, 'properties')
    for (const [key, one] of entries) {
      const found = find(one, `${instancePath}/${key}`, depth + 1)
      if (found) return found
    }
    return undefined
  }
  return find(body, '', 0)
}

const tooMany = (instancePath: string, limit: number, things: string): Failure => ({
  keyword: 'maximum_size',
  instancePath,
  schemaPath: '',
  params: { limit },
  message: `must have at most ${limit} ${things}`
})

/**
 * Replaces blank text by null where the schema allows null, so that there is one empty value.
 * `definitionOf`: the schema that one is or refers to.
 */
export function clearBlankText(
  schema: BodySchema,
  body: Json,
  definitionOf: (schema: BodySchema) => BodySchema
): void {
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const value = body[name]
    if (typeof value === 'string' && field.nullable && value.trim() === '') body[name] = null
    else if (isObject(value)) clearBlankText(definitionOf(field), value, definitionOf)
    else if (Array.isArray(value)) {
      const definition = definitionOf(field.items ?? {})
      for (const item of value) if (isObject(item)) clearBlankText(definition, item, definitionOf)
    }
  }
}

/** By the ID of a schema: the fields of the record that an update cannot change. */
const fixed = new Map<string, readonly string[]>()

/** Names the fields that an update with this schema may repeat, but not change. */
export function declareFixedFields(schemaId: string, fields: readonly string[]): void {
  fixed.set(schemaId, fields)
}

const repeated = new WeakMap<object, Json>()

/**
 * Takes the fields that an update cannot change out of its body, for `assertUnchanged`, and what a
 * response has besides the record: related records, and the effects of a dry run.
 */
export function setFixedFieldsAside(schemaId: string, body: Json): void {
  const fields = fixed.get(schemaId)
  if (!fields) return
  delete body.included
  delete body.effects
  setAside(body, name => fields.includes(name))
}

/** Takes fields out of a body, for `assertUnchanged`. */
export function setAside(body: Json, isFixed: (field: string) => boolean): void {
  const names = Object.keys(body).filter(isFixed)
  if (names.length === 0) return
  repeated.set(body, Object.fromEntries(names.map(name => [name, body[name]])))
  for (const name of names) delete body[name]
}

/** The fields of a body that it repeats. */
export const repeatedFields = (body: object): string[] => Object.keys(repeated.get(body) ?? {})

/** Whether a body has repeated fields that it cannot change. */
export const repeatsFixedFields = (body: object): boolean => repeated.has(body)

const isInstant = (value: unknown): value is string =>
  typeof value === 'string' && /^\d{4}-\d{2}-\d{2}T/.test(value)

function isSame(a: unknown, b: unknown): boolean {
  if (isInstant(a) && isInstant(b)) return Date.parse(a) === Date.parse(b)
  // what was sent in place of a number or a text may be nested too deeply to be compared as JSON
  if (typeof b !== 'object' || b === null) return a === b
  return isDeepStrictEqual(a, b)
}

/** The names of all fields of a body, with those that it repeats. */
export const fieldsIn = (body: object): string[] => [...Object.keys(body), ...repeatedFields(body)]

/** Takes the fields out of a body that have the same value in the record. */
export function dropUnchanged(body: object, record: object, fields: Iterable<string>): void {
  for (const field of fields)
    if (Object.hasOwn(body, field) && isSame((body as Json)[field], (record as Json)[field]))
      delete (body as Json)[field]
}

/** Errors: 409 if a field that the body repeats has another value in the record. */
export function assertUnchanged(body: object, record: object): void {
  const changed = Object.entries(repeated.get(body) ?? {}).filter(
    ([name, value]) => !isSame(value, (record as Json)[name])
  )
  if (changed.length === 0) return
  const names = changed.map(([name]) => name)
  const detail = names.includes('version')
    ? 'The record has changed since it was read. Read it again.'
    : `${names.join(', ')} cannot be changed.`
  throw new Problem(409, 'conflict', detail, {
    errors: names.map(name => ({
      pointer: `/${name}`,
      code: 'conflict',
      detail: `is ${JSON.stringify((record as Json)[name] ?? null)} and cannot be changed`,
      params: { current: (record as Json)[name] ?? null }
    }))
  })
}
