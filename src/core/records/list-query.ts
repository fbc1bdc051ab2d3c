import { Type, type TObject, type TProperties, type TSchema } from '@sinclair/typebox'
import { invalidParameter, Problem, ruleBroken } from '../errors.ts'
import type { Filter, ListQuery, Operator, Sort } from './list.ts'
import { OneOf, Text } from '../http/schema.ts'
import { ajv, faultOf, urlValidator } from '../http/validation.ts'

/** What can be filtered by: names of fields of `record`, those of them that are searched, and filters that are no fields. */
export interface FilterContract {
  record: TObject
  filter: readonly string[]
  search?: readonly string[]
  scopes?: Record<string, TSchema>
}

/** What a list offers: names of fields of `record`, and of what can be included. */
export interface ListContract extends FilterContract {
  sort: readonly string[]
  include?: readonly string[]
}

/** A list as it was asked for over HTTP. `fields` and `include` are names, `paged` is whether a limit or cursor was given. */
export interface AskedList extends ListQuery {
  include: string[]
  paged: boolean
}

const words: Record<Exclude<Operator, 'eq'>, string> = {
  in: 'is one of these, separated by commas',
  gt: 'is after or above',
  gte: 'is at or above',
  lt: 'is before or below',
  lte: 'is at or below',
  like: 'contains this, whatever the case and the accents',
  any: 'has one or more of these, separated by commas',
  all: 'has all of these, separated by commas',
  null: 'is absent (true) or present (false)'
}

const ordered = new Set(['integer', 'number'])
const isInstant = (schema: TSchema) => schema.format === 'date-time'
const isDate = (schema: TSchema) => schema.format === 'date'

/** The operators a field can be filtered by, from its type. */
function operatorsOf(schema: TSchema, searchable: boolean): Operator[] {
  if (schema.type === 'array') return ['any', 'all']
  const comparable = ordered.has(schema.type) || isInstant(schema) || isDate(schema)
  return [
    'eq',
    ...(isInstant(schema) || isDate(schema) ? [] : ['in' as const]),
    ...(comparable ? (['gt', 'gte', 'lt', 'lte'] as const) : []),
    ...(searchable ? ['like' as const] : []),
    ...(schema.nullable ? ['null' as const] : [])
  ]
}

/** The schema of one parameter of the query. */
function parameter(field: string, schema: TSchema, operator: Operator, told?: string): TSchema {
  const { nullable: _n, example: _e, minLength: _m, description: _s, ...plain } = schema
  const description =
    told ?? (operator === 'eq' ? `\`${field}\` is this.` : `\`${field}\` ${words[operator]}.`)
  const values = (schema.enum as (string | null)[] | undefined)?.filter(value => value !== null)
  if (operator === 'null') return Type.Boolean({ description })
  if (operator === 'like') return Text(100, { minLength: 1, description })
  if (operator === 'any' || operator === 'all')
    return parameter(field, schema.items as TSchema, 'in', description)
  if (operator === 'in') {
    const one = values
      ? `(${values.join('|')})`
      : schema.type === 'integer'
        ? '-?[0-9]{1,15}'
        : schema.type === 'number'
          ? '-?[0-9]{1,15}(\\.[0-9]{1,2})?'
          : '[^,\\u0000\\uD800-\\uDFFF]+'
    return Type.String({ maxLength: 4000, pattern: `^${one}(,${one}){0,99}$`, description })
  }
  if (isInstant(schema))
    return Type.String({
      format: 'date-or-date-time',
      maxLength: 40,
      description: `${description} A date stands for its first moment in UTC.`
    })
  if (values) return OneOf(values, { description })
  return Type.Unsafe({ ...plain, description })
}

const plainOf = (record: TObject, field: string): TSchema =>
  record.properties[field] ?? fault(`no field ${field} in ${record.$id}`)
const fault = (message: string): never => {
  throw new Error(message)
}
const nameOf = (field: string, operator: Operator) =>
  operator === 'eq' ? field : `${field}[${operator}]`
/** A parameter that names some of `names`, `most` of them at the most. */
export const commaSeparated = (names: readonly string[], most: number, description: string) => {
  const one = `(${names.join('|')})`
  return Type.Optional(
    Type.String({ maxLength: 1000, pattern: `^${one}(,${one}){0,${most - 1}}$`, description })
  )
}

export const limitParameter = Type.Optional(
  Type.Integer({
    format: 'int32',
    minimum: 1,
    maximum: 200,
    default: 50,
    description: 'How many rows a page has at the most.'
  })
)
export const cursorParameter = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: 2000,
    pattern: '^[A-Za-z0-9_.-]+$',
    description: 'The `next_cursor` of the page before.'
  })
)
/** The query string of a list that can only be paged through. */
export const Paged = Type.Object(
  { limit: limitParameter, cursor: cursorParameter },
  { additionalProperties: false }
)

/** The filters of a list: as parameters of its query string, and as a language for those who keep filters. */
export function filterLanguage({ record, filter, search, scopes = {} }: FilterContract) {
  const known = new Map<string, { field: string; operator: Operator; schema: TSchema }>()
  for (const field of filter) {
    const schema = plainOf(record, field)
    for (const operator of operatorsOf(schema, search?.includes(field) ?? false))
      known.set(nameOf(field, operator), { field, operator, schema })
  }
  const parameters: TProperties = {
    ...Object.fromEntries(
      Object.entries(scopes).map(([name, schema]) => [name, Type.Optional(schema)])
    ),
    ...Object.fromEntries(
      [...known].map(([name, { field, operator, schema }]) => [
        name,
        Type.Optional(parameter(field, schema, operator))
      ])
    )
  }
  for (const [field, schema] of Object.entries(scopes))
    known.set(field, { field, operator: 'eq', schema })

  /** The filters in a query that was validated against `parameters`. Errors: 400 for a list with a number that its field cannot be. */
  const read = (query: Record<string, unknown>): Filter[] =>
    [...known]
      .filter(([name]) => query[name] !== undefined)
      .map(([name, { field, operator, schema }]) => ({
        field,
        operator,
        value: isList(operator)
          ? several(
              name,
              String(query[name]),
              operator === 'in' ? schema : (schema.items as TSchema)
            )
          : query[name]
      }))

  let validate: ReturnType<typeof urlValidator> | undefined
  /** The filters in a text such as `source=website&score[gte]=50`; `place` is where it stands in the body. Errors: 422. */
  function parse(text: string, place: string): Filter[] {
    const schema = Type.Object(parameters, { additionalProperties: false })
    validate ??= urlValidator(ajv(true).compile(schema), schema)
    const asked = new URLSearchParams(text)
    const query: Record<string, unknown> = Object.fromEntries(asked)
    if (asked.size > Object.keys(query).length)
      throw ruleBroken(place, 'A filter can name each condition only once.')
    const { error } = validate(query) as { error?: Parameters<typeof faultOf>[0][] }
    const refusal = (details: string[]) =>
      ruleBroken(
        place,
        details
          .map(detail => detail.replace('query parameter ', ''))
          .join(' ')
          .slice(0, 500)
      )
    if (error) throw refusal(error.map(one => faultOf(one, 'querystring').detail))
    try {
      return read(query)
    } catch (problem) {
      throw problem instanceof Problem ? refusal([problem.detail]) : problem
    }
  }

  return { parameters, read, parse }
}

const isList = (operator: Operator) => operator === 'in' || operator === 'any' || operator === 'all'

/** The query string of a list as a schema, and the function that reads one that was validated against it. */
export function listQuery({ sort, include, ...contract }: ListContract) {
  const { record, search } = contract
  const language = filterLanguage(contract)
  const sorts = sort.flatMap(field => [field, `-${field}`])
  const schema = Type.Object(
    {
      limit: limitParameter,
      cursor: cursorParameter,
      sort: commaSeparated(
        sorts,
        3,
        `Up to three of ${sort.join(', ')}; a minus sign in front turns the order round; nulls come last. Newest first if absent.`
      ),
      fields: commaSeparated(
        Object.keys(record.properties),
        50,
        'The fields to show, separated by commas; all of them if absent.'
      ),
      ...(include && {
        include: commaSeparated(
          include,
          5,
          `Related records to show under \`included\`: ${include.join(', ')}.`
        )
      }),
      ...(search && {
        q: Type.Optional(
          Text(100, {
            minLength: 1,
            description: `Words that must all occur in ${search.join(', ')}: each part of a word in any case, with or without accents; one or two characters stand for the beginning of a word.`
          })
        )
      }),
      count: Type.Optional(
        OneOf(['exact'], { description: 'Also count the whole list, as `total`.' })
      ),
      deleted: Type.Optional(
        Type.Boolean({ default: false, description: 'Show the deleted records instead.' })
      ),
      ...language.parameters
    },
    { additionalProperties: false }
  )

  /** Errors: 400 for a field that is sorted by twice. */
  function read(query: Record<string, unknown>): AskedList {
    const asked = query as {
      limit?: number
      cursor?: string
      sort?: string
      fields?: string
      include?: string
      q?: string
      count?: string
      deleted?: boolean
    }
    return {
      limit: asked.limit ?? 50,
      paged: asked.limit !== undefined || asked.cursor !== undefined,
      include: split(asked.include),
      filters: language.read(query),
      count: asked.count === 'exact',
      deleted: asked.deleted === true,
      ...(asked.cursor !== undefined && { cursor: asked.cursor }),
      ...(asked.fields !== undefined && {
        fields: Object.keys(record.properties).filter(field => split(asked.fields).includes(field))
      }),
      ...(asked.sort !== undefined && { sort: sortOf(asked.sort) }),
      ...(asked.q !== undefined && {
        words: asked.q
          .trim()
          .split(/\s+/)
          .filter(word => word !== '')
      })
    }
  }

  return { schema, read }
}

const split = (text: string | undefined): string[] =>
  text === undefined ? [] : [...new Set(text.split(','))]
/** The values of a list that was validated by a pattern, which knows no bounds. */
function several(
  name: string,
  text: string,
  { type, minimum = -Infinity, maximum = Infinity }: TSchema
): unknown[] {
  if (!ordered.has(type)) return text.split(',')
  const numbers = text.split(',').map(Number)
  const outside = numbers.find(number => number < minimum || number > maximum)
  if (outside !== undefined)
    throw invalidParameter(
      name,
      `query parameter ${name} must be from ${minimum} to ${maximum}, and has ${outside}`
    )
  return numbers
}

function sortOf(text: string): Sort[] {
  const sort = text
    .split(',')
    .map(key => ({ field: key.replace(/^-/, ''), descending: key.startsWith('-') }))
  if (new Set(sort.map(({ field }) => field)).size < sort.length)
    throw invalidParameter('sort', 'A field can be sorted by only once.')
  return sort
}
