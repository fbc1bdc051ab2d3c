import {
  Type,
  type SchemaOptions,
  type Static,
  type StringOptions,
  type TOptional,
  type TProperties,
  type TSchema,
  type TUnsafe
} from '@sinclair/typebox'

/** What a pattern requires: `must …`; for programs, a name and the values of the text. */
interface Requirement {
  text: string
  params: { expected: string } & Record<string, unknown>
}

const requirements = new Map<string, Requirement>()

/** What a pattern requires, for errors; undefined if nothing was said about it. */
export const requirementOf = (pattern: string): Requirement | undefined => requirements.get(pattern)

/**
 * A pattern that errors explain by what it requires: in words, `must …`, and by a name that never
 * changes, with the values of the text.
 */
export function explained(
  pattern: string,
  text: string,
  expected: string,
  values: Record<string, unknown> = {}
): string {
  requirements.set(pattern, { text, params: { expected, ...values } })
  return pattern
}

const anyText = explained(
  '^[^\\u0000\\uD800-\\uDFFF]*$',
  'must not contain NUL or unpaired surrogates',
  'text'
)
// only one way to match: with allErrors it runs on text of any length, before its length is checked
const visibleText = explained(
  '^\\s*[^\\s\\u0000\\uD800-\\uDFFF][^\\u0000\\uD800-\\uDFFF]*$',
  'must not be blank or contain NUL or unpaired surrogates',
  'visible_text'
)

/** The keyword of numbers that have at most so many decimal places. */
export const maxDecimals = 'x-decimals'

/** The keyword of schemas whose instants are truncated to milliseconds when they are validated. */
export const truncatedInstant = 'truncatedInstant'

/** The keyword of objects whose keys match a pattern; OpenAPI 3.0 has none. */
export const keyPattern = 'x-key-pattern'

/** Marks a schema of a part of a record, of which some callers see only some fields. */
export const hasPartial = 'x-has-partial'

/** Text as received: anything but NUL and unpaired surrogates, which cannot be stored. */
export const Text = (maxLength: number, options: StringOptions = {}) =>
  Type.String({ maxLength, pattern: anyText, ...options })
/** Text that is not blank. */
export const Name = (maxLength: number, options: StringOptions = {}) =>
  Type.String({ minLength: 1, maxLength, pattern: visibleText, ...options })
/** The key of a record within another one: `in_progress`. */
export const Key = (maxLength: number, options: StringOptions = {}) =>
  Type.String({
    minLength: 1,
    maxLength,
    pattern: explained(
      '^[a-z][a-z0-9_]*$',
      'must start with a lowercase letter and contain only lowercase letters, digits and ' +
        'underscores',
      'key'
    ),
    ...options
  })
export const Email = (options: StringOptions = {}) =>
  Type.String({ format: 'idn-email', maxLength: 120, ...options })
export const Id = (options: SchemaOptions = {}) =>
  Type.Integer({ format: 'int64', minimum: 1, maximum: 999_999_999_999_999, ...options })
export const Count = (options: SchemaOptions = {}) =>
  Type.Integer({ format: 'int32', minimum: 0, maximum: 2_147_483_647, ...options })
/**
 * An instant; what is sent with more digits is truncated to milliseconds. The other formats are for
 * parameters that also accept a date or a duration.
 */
export const Instant = (options: StringOptions = {}) =>
  Type.String({ format: 'date-time', maxLength: 40, [truncatedInstant]: true, ...options })
export const DateOnly = (options: StringOptions = {}) =>
  Type.String({ format: 'date', maxLength: 10, ...options })
/**
 * An amount with two decimals. Not by `multipleOf`, which validators check by dividing floats: they
 * refuse 4.35.
 */
export const Money = (
  maximum: number,
  { description = 'Amount.', ...options }: SchemaOptions = {}
) =>
  Type.Number({
    format: 'double',
    [maxDecimals]: 2,
    minimum: 0,
    maximum,
    description: `${description} Up to two decimal places.`,
    ...options
  })
export const OneOf = <const T extends readonly string[]>(values: T, options: SchemaOptions = {}) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: [...values], ...options })

/** Names of fields of a resource. */
export const FieldNames = (description: string, example: string[]) =>
  Type.Array(Text(63, { minLength: 1 }), { maxItems: 100, uniqueItems: true, description, example })

/** `nullable: true`, which OpenAPI 3.0, Ajv and the type understand alike. */
export function Nullable<T extends TSchema>(schema: T): TUnsafe<Static<T> | null> {
  const values = schema.enum as unknown[] | undefined
  return Type.Unsafe<Static<T> | null>({
    ...schema,
    nullable: true,
    ...(values && { enum: [...values, null] })
  })
}

/** A reference to a schema with an `$id`, registered by `app.addSchema`. */
export const Ref = <T extends { $id?: string }>(
  schema: T
): TUnsafe<T extends TSchema ? Static<T> : unknown> => Type.Unsafe({ $ref: `${schema.$id}#` })

const managed = {
  version: Count({
    minimum: 1,
    description: 'Version, incremented with each change. It is also the ETag.',
    example: 1
  }),
  created_at: Instant({ description: 'Time of creation.', example: '2026-11-22T09:00:00.000Z' }),
  created_by: Nullable(
    Id({ description: 'User who created the record; null for the system.', example: 1 })
  ),
  updated_at: Instant({
    description: 'Time of the last change.',
    example: '2026-11-22T09:00:00.000Z'
  }),
  updated_by: Nullable(
    Id({ description: 'User who made the last change; null for the system.', example: 1 })
  ),
  deleted_at: Nullable(
    Instant({ description: 'Time of deletion; null if not deleted.', example: null })
  )
}

/** Fields without `default`, since a generated type would require a field that has one. */
const withoutDefaults = <P extends TProperties>(fields: P) => mapFields(fields, schema => schema)

/** The same, with the default in the description. */
const withDescribedDefaults = <P extends TProperties>(fields: P) =>
  mapFields(fields, (schema, value) =>
    value === undefined
      ? schema
      : { ...schema, description: `${schema.description} Default: ${value as string | number}.` }
  )

const mapFields = <P extends TProperties>(
  fields: P,
  map: (schema: TSchema, value: unknown) => TSchema
) =>
  Object.fromEntries(
    Object.entries(fields).map(([name, { default: value, ...schema }]) => [
      name,
      map(schema as TSchema, value)
    ])
  ) as P

interface MapSchema extends TSchema {
  additionalProperties: TSchema
}
const isMap = (schema: TSchema): schema is MapSchema =>
  schema.type === 'object' && typeof schema.additionalProperties === 'object'

/** A field as a body has it: a map is merged, so null removes one of its values, or all of them. */
const accepted = (schema: TSchema): TSchema =>
  isMap(schema)
    ? Nullable({ ...schema, additionalProperties: Nullable(schema.additionalProperties) })
    : schema

/** Fields of a body, which has an example of its own. */
const withoutExamples = <P extends TProperties>(fields: P) =>
  Object.fromEntries(
    Object.entries(fields).map(([name, { example: _, ...schema }]) => [name, accepted(schema)])
  ) as P

/** `CampaignMember` as the beginning of a sentence: `Campaign member`. */
const labelOf = (name: string) =>
  name.charAt(0) + name.slice(1).replaceAll(/[A-Z]/g, ' $&').toLowerCase()

/** A record as it is returned. `name` is its name in the document, where `id` is the example. */
export const RecordOf = <P extends TProperties>(
  name: string,
  description: string,
  fields: P,
  id = 1
) =>
  Type.Object(
    {
      id: Id({ description: `${labelOf(name)} ID.`, example: id }),
      ...withoutDefaults(fields),
      ...managed
    },
    { $id: name, description, additionalProperties: false }
  )

type Given<P extends TProperties, Required extends keyof P> = {
  [K in keyof P]: K extends Required ? P[K] : TOptional<P[K]>
}

/** What creates a record: `fields`, of which those in `required` must be given. */
export const Creation = <P extends TProperties, const R extends (keyof P & string)[]>(
  name: string,
  fields: P,
  required: R,
  example: object
) =>
  Type.Object(
    Object.fromEntries(
      Object.entries(withoutExamples(withDescribedDefaults(fields))).map(([key, schema]) => [
        key,
        required.includes(key) ? schema : Type.Optional(schema)
      ])
    ) as Given<P, R[number]>,
    {
      $id: name,
      description: 'Absent fields get their defaults.',
      additionalProperties: false,
      example
    }
  )

/** What changes a record: any of `fields`. */
export const Change = <P extends TProperties>(name: string, fields: P, example: object) =>
  Type.Object(
    Object.fromEntries(
      Object.entries(withoutExamples(withoutDefaults(fields))).map(([key, schema]) => [
        key,
        Type.Optional(schema)
      ])
    ) as { [K in keyof P]: TOptional<P[K]> },
    {
      $id: name,
      description: 'Absent fields are unchanged; null or blank text clears a field.',
      additionalProperties: false,
      minProperties: 1,
      example
    }
  )

/** The envelope of every list. */
export const PageOf = <T extends TSchema>(record: T, item: TSchema = Ref(record)) =>
  Type.Object(
    {
      data: Type.Array(item, { maxItems: 200 }),
      has_more: Type.Boolean({ description: 'Whether there is a next page.', example: false }),
      next_cursor: Nullable(
        Type.String({
          maxLength: 2000,
          pattern: '^[A-Za-z0-9_.-]*$',
          description: 'Value of `cursor` for the next page; null on the last page.',
          example: null
        })
      ),
      total: Type.Optional(
        Type.Integer({
          format: 'int64',
          minimum: 0,
          maximum: Number.MAX_SAFE_INTEGER,
          description: 'Number of rows in the list; only with `count=exact`.',
          example: 1
        })
      )
    },
    { $id: `${record.$id}Page`, additionalProperties: false, description: 'A page of a list.' }
  )
