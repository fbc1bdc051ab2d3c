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
import { vocabulary } from '../errors.ts'

const anyText = '^[^\\u0000\\uD800-\\uDFFF]*$'
// one way to match only: with allErrors it runs on text of any length, before the length is looked at
const visibleText = '^\\s*[^\\s\\u0000\\uD800-\\uDFFF][^\\u0000\\uD800-\\uDFFF]*$'

/** The patterns of text as such, which say nothing of what it should be. */
export const texts = [anyText, visibleText]

/** Text as it was received: anything but NUL and half characters (lone surrogates), which cannot be stored. */
export const Text = (maxLength: number, options: StringOptions = {}) =>
  Type.String({ maxLength, pattern: anyText, ...options })
/** The numbers of the tags of a record (see `tags()` in core/db/columns). */
export const TagIds = (options: SchemaOptions = {}) =>
  Type.Array(Id(), {
    maxItems: 50,
    uniqueItems: true,
    description: 'The numbers of its tags.',
    example: [],
    ...options
  })
/** Text with something to see in it. */
export const Name = (maxLength: number, options: StringOptions = {}) =>
  Type.String({ minLength: 1, maxLength, pattern: visibleText, ...options })
export const Email = (options: StringOptions = {}) =>
  Type.String({ format: 'email', maxLength: 120, ...options })
export const Id = (options: SchemaOptions = {}) =>
  Type.Integer({ format: 'int64', minimum: 1, maximum: 999_999_999_999_999, ...options })
export const Count = (options: SchemaOptions = {}) =>
  Type.Integer({ format: 'int32', minimum: 0, maximum: 2_147_483_647, ...options })
export const Instant = (options: StringOptions = {}) =>
  Type.String({ format: 'date-time', maxLength: 40, ...options })
export const DateOnly = (options: StringOptions = {}) =>
  Type.String({ format: 'date', maxLength: 10, ...options })
/** An amount with two decimals; the keyword is checked by decimal arithmetic (core/http/validation), not by dividing floats. */
export const Money = (maximum: number, options: SchemaOptions = {}) =>
  Type.Number({ format: 'double', multipleOf: 0.01, minimum: 0, maximum, ...options })
export const OneOf = <const T extends readonly string[]>(values: T, options: SchemaOptions = {}) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: [...values], ...options })

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
export const Ref = <T extends TSchema>(schema: T): TUnsafe<Static<T>> =>
  Type.Unsafe<Static<T>>({ $ref: `${schema.$id}#` })

const managed = {
  version: Count({
    minimum: 1,
    description: "Raised by one with each change; the record's ETag.",
    example: 1
  }),
  created_at: Instant({
    description: 'When the record was made.',
    example: '2026-11-22T09:00:00.000Z'
  }),
  created_by: Nullable(
    Id({ description: 'The user who made the record; null for the system.', example: 1 })
  ),
  updated_at: Instant({
    description: 'When the record last changed.',
    example: '2026-11-22T09:00:00.000Z'
  }),
  updated_by: Nullable(
    Id({ description: 'The user who made the last change; null for the system.', example: 1 })
  ),
  deleted_at: Nullable(
    Instant({ description: 'When the record was deleted; null while it is alive.', example: null })
  )
}

/** Fields without `default`: a generated type would demand a field that has one. People are `told` of it instead. */
const withoutDefaults = <P extends TProperties>(fields: P, told = false) =>
  Object.fromEntries(
    Object.entries(fields).map(([name, { default: value, ...schema }]) => [
      name,
      told && value !== undefined
        ? { ...schema, description: `${schema.description} Default: ${String(value)}.` }
        : schema
    ])
  ) as P

/** A record as it is shown: `fields` between its id and what the kit manages. `name` is its name in the document, where `id` is the example. */
export const RecordOf = <P extends TProperties>(
  name: string,
  description: string,
  fields: P,
  id = 1
) =>
  Type.Object(
    {
      id: Id({
        description: `The number of the ${name.replaceAll(/\B[A-Z]/g, ' $&').toLowerCase()}.`,
        example: id
      }),
      ...withoutDefaults(fields),
      ...managed
    },
    { $id: name, description, additionalProperties: false }
  )

type Given<P extends TProperties, Required extends keyof P> = {
  [K in keyof P]: K extends Required ? P[K] : TOptional<P[K]>
}

/** What makes a record: `fields`, of which `required` may not be absent. */
export const Creation = <P extends TProperties, const R extends (keyof P & string)[]>(
  name: string,
  fields: P,
  required: R,
  example: object
) =>
  Type.Object(
    Object.fromEntries(
      Object.entries(withoutDefaults(fields, true)).map(([key, schema]) => [
        key,
        required.includes(key) ? schema : Type.Optional(schema)
      ])
    ) as Given<P, R[number]>,
    {
      $id: name,
      description: 'An absent field gets its default.',
      additionalProperties: false,
      example
    }
  )

/** What changes a record: any of `fields`. */
export const Change = <P extends TProperties>(name: string, fields: P, example: object) =>
  Type.Object(
    Object.fromEntries(
      Object.entries(withoutDefaults(fields)).map(([key, schema]) => [key, Type.Optional(schema)])
    ) as { [K in keyof P]: TOptional<P[K]> },
    {
      $id: name,
      description: 'An absent field stays as it is; null clears it.',
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
          description: 'Give it back as `cursor` for the next page.',
          example: null
        })
      ),
      total: Type.Optional(
        Type.Integer({
          format: 'int64',
          minimum: 0,
          maximum: Number.MAX_SAFE_INTEGER,
          description: 'All rows of the list; only with `count=exact`.',
          example: 1
        })
      )
    },
    { $id: `${record.$id}Page`, additionalProperties: false, description: 'A page of a list.' }
  )

export const Problem = Type.Object(
  {
    type: Text(200, {
      description: 'Where the meaning of `code` is told.',
      example: '/api/problems/invalid'
    }),
    title: Text(100, { description: 'The status in words.', example: 'Bad Request' }),
    status: Type.Integer({
      format: 'int32',
      minimum: 400,
      maximum: 599,
      description: 'The status of the answer.',
      example: 400
    }),
    detail: Text(2000, {
      description: 'What is wrong, for a person.',
      example: 'must match format "email"'
    }),
    instance: Text(2000, { description: 'The path that was asked for.', example: '/api/contacts' }),
    code: OneOf(Object.keys(vocabulary) as (keyof typeof vocabulary)[], {
      description: 'What is wrong, for a program.',
      example: 'invalid'
    }),
    request_id: Text(64, {
      description: 'The X-Request-Id of the request; quote it when you ask for help.',
      example: 'k3v9x2a1-1f'
    }),
    errors: Type.Optional(
      Type.Array(
        Type.Object(
          {
            pointer: Type.Optional(
              Text(500, {
                description: 'The place in the body, as a JSON pointer.',
                example: '/email'
              })
            ),
            parameter: Type.Optional(
              Text(500, {
                description: 'The parameter of the path, the query or the header.',
                example: 'limit'
              })
            ),
            code: Text(50, {
              description: 'What is wrong with it, for a program.',
              example: 'format'
            }),
            detail: Text(2000, {
              description: 'What is wrong with it, for a person.',
              example: 'must match format "email"'
            })
          },
          { additionalProperties: false }
        ),
        { maxItems: 100, description: 'Each thing that is wrong, with its place.' }
      )
    ),
    allowed: Type.Optional(
      Type.Array(Text(100), {
        maxItems: 200,
        description: 'With `impossible_move`: where the record could go instead.',
        example: ['negotiation', 'lost']
      })
    ),
    matches: Type.Optional(
      Type.Array(
        Type.Object(
          {
            type: Text(40, { description: 'The kind of record.', example: 'contact' }),
            id: Id({ description: 'Its number.', example: 1 }),
            name: Text(300, { description: 'What it is called.', example: 'John Doe' }),
            by: Type.Array(Text(63), {
              maxItems: 20,
              description: 'The fields that are alike.',
              example: ['email']
            })
          },
          { additionalProperties: false }
        ),
        {
          maxItems: 50,
          description: 'With `likely_duplicate`: the records that are probably the same.'
        }
      )
    ),
    error: Type.Optional(
      Text(50, { description: 'The OAuth 2 error code, on the token endpoint.' })
    ),
    error_description: Type.Optional(
      Text(2000, { description: 'The OAuth 2 error text, on the token endpoint.' })
    )
  },
  { $id: 'Problem', additionalProperties: false, description: 'What went wrong (RFC 9457).' }
)

export const Event = Type.Object(
  {
    id: Id({ description: 'The number of the event.', example: 1 }),
    type: Text(60, {
      description:
        'What happened: `<record>.created`, `.updated`, `.deleted`, `.restored` or `.purged`.',
      example: 'contact.updated'
    }),
    subject_type: Text(40, {
      description: 'The kind of record it happened to.',
      example: 'contact'
    }),
    subject_id: Id({ description: 'The record it happened to.', example: 1 }),
    actor_id: Nullable(
      Id({ description: 'The user who did it; null for the system.', example: 1 })
    ),
    changed: Type.Array(Text(63), {
      maxItems: 200,
      description: 'The names of the fields that changed.',
      example: ['last_name']
    }),
    before: Nullable(
      Type.Object(
        {},
        {
          additionalProperties: true,
          description: 'The record before; null for a new one.',
          example: { id: 1, last_name: 'Doe', version: 1 }
        }
      )
    ),
    after: Nullable(
      Type.Object(
        {},
        {
          additionalProperties: true,
          description: 'The record after; null for one that is gone for good.',
          example: { id: 1, last_name: 'Smith', version: 2 }
        }
      )
    ),
    created_at: Instant({ description: 'When it happened.', example: '2026-11-22T09:00:00.000Z' })
  },
  {
    $id: 'Event',
    additionalProperties: false,
    description: 'One change of a record, as the event log keeps it.'
  }
)

export const EventPage = PageOf(Event)
