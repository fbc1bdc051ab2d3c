import { Type, type TObject, type TProperties, type TSchema } from '@sinclair/typebox'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import type { Context } from '../access/context.ts'
import { columnNamed } from '../db/columns.ts'
import { sql } from '../db/drizzle.ts'
import { invalidParameter, Problem, ruleBroken, unknownParameter, type Fault } from '../errors.ts'
import { Instant, keyPattern, OneOf, Text } from '../http/schema.ts'
import { ajv, faultOf, urlValidator, type Failure } from '../http/validation.ts'
import { dayAfter, isDay, type Filter, type Operator, type VirtualFilters } from './filter.ts'
import { KeyedFilters } from './keyed-filters.ts'
import { fieldSchema, type Reference } from './resource.ts'
import { listPattern, quotedList, valuesIn } from './value-list.ts'
import { columnsIn, isHidden } from './visibility.ts'

/**
 * What can be filtered: fields of a record, those of them that are searched, virtual filters, and
 * the filters of related records. A resource is one; `{ ...resource, filters: […] }` is one with
 * fewer fields.
 */
export interface FilterContract {
  /** Where the fields are, if they are those of one table. */
  table?: PgTable
  schema?: TObject
  filters?: readonly string[]
  search?: readonly string[]
  virtualFilters?: VirtualFilters
  relatedRecords?: () => Record<string, Reference>
}

interface Condition {
  field: string
  operator: Operator
  schema: TSchema
  /** The columns that it tells something about. */
  reads: PgColumn[]
}

const descriptions: Record<Operator, (field: string, schema: TSchema) => string> = {
  eq: field => `\`${field}\` equals this value.`,
  in: field =>
    `\`${field}\` is one of these values, separated by commas; a value with a comma is in double ` +
    'quotes.',
  gt: (field, schema) => `\`${field}\` is ${isTime(schema) ? 'after' : 'greater than'} this value.`,
  gte: (field, schema) =>
    `\`${field}\` is ${isTime(schema) ? 'on or after' : 'greater than or equal to'} this value.`,
  lt: (field, schema) => `\`${field}\` is ${isTime(schema) ? 'before' : 'less than'} this value.`,
  lte: (field, schema) =>
    `\`${field}\` is ${isTime(schema) ? 'on or before' : 'less than or equal to'} this value.`,
  like: field => `\`${field}\` contains this text, ignoring case, accents and punctuation.`,
  null: field => `\`${field}\` is null (true) or not null (false).`,
  any: field => `\`${field}\` contains at least one of these values, separated by commas.`,
  all: field => `\`${field}\` contains all of these values, separated by commas.`
}

const isInstant = (schema: TSchema) => schema.format === 'date-time'
const isTime = (schema: TSchema) => isInstant(schema) || schema.format === 'date'
const isNumber = (schema: TSchema) => schema.type === 'integer' || schema.type === 'number'
/** As the schema helper `Id` makes them. */
const isId = (schema: TSchema) => schema.format === 'int64' && schema.minimum === 1
const isListOperator = (operator: Operator) =>
  operator === 'in' || operator === 'any' || operator === 'all'

const ranges = ['gt', 'gte', 'lt', 'lte'] as const

/** The operators that a field can be filtered by. Of IDs, only `id` itself has a useful order. */
function operatorsOf(field: string, schema: TSchema, searchable: boolean): Operator[] {
  if (schema.type === 'array') return ['any', 'all']
  const comparable = (isNumber(schema) && !isId(schema)) || isTime(schema)
  return [
    'eq',
    ...(isTime(schema) ? [] : ['in' as const]),
    ...(comparable ? ranges : []),
    ...(field === 'id' ? ['gt' as const] : []),
    ...(searchable ? ['like' as const] : []),
    ...(schema.nullable ? ['null' as const] : [])
  ]
}

/** The conditions on the fields of a record. */
const conditionsOf = (contract: FilterContract): Condition[] => {
  const { schema, filters = [], search = [] } = contract
  return filters.flatMap(field => {
    const of = fieldSchema(schema!, field)
    return operatorsOf(field, of, search.includes(field)).map(operator => ({
      field,
      operator,
      schema: of,
      reads: columnsRead(contract, field)
    }))
  })
}

/** The columns that a filter, virtual or not, tells something about. */
export function columnsRead(contract: FilterContract, filter: string): PgColumn[] {
  const { table, virtualFilters = {} } = contract
  const virtual = virtualFilters[filter]
  if (virtual) {
    const { condition, reads = [] } = virtual
    return [...reads, ...(condition ? columnsIn(condition(sql``)) : [])]
  }
  return table ? [columnNamed(table, filter)] : []
}

/** The fields that `q` searches: those of the record, and of related ones by their names. */
export const searchedFields = ({ search = [], relatedRecords }: FilterContract): string[] => [
  ...search,
  ...Object.entries(relatedRecords?.() ?? {}).flatMap(([name, { to }]) =>
    (to.search ?? []).map(field => `${name}.${field}`)
  )
]

/** Operators that only stored filters may have: lists offer no ranges of IDs since 0.2. */
const retiredOperatorsOf = (field: string, schema: TSchema): Operator[] =>
  isId(schema) ? ranges.filter(operator => field !== 'id' || operator !== 'gt') : []

const parameterName = ({ field, operator }: Pick<Condition, 'field' | 'operator'>) =>
  operator === 'eq' ? field : `${field}[${operator}]`

const enumValues = (schema: TSchema) =>
  (schema.enum as (string | null)[] | undefined)?.filter(value => value !== null)

/** A value that a field could have: for IDs and the like, one that exists in most organizations. */
function exampleOf(schema: TSchema): string | number | boolean {
  if (schema.type === 'boolean') return true
  if (isTime(schema)) return '2026-11-22'
  const example = schema.example as string | number | null | undefined
  const fallback = isNumber(schema) ? 1 : 'example'
  return example ?? enumValues(schema)?.[0] ?? fallback
}

/** The pattern of a list of values. */
function patternOf(schema: TSchema): string {
  const values = enumValues(schema)
  if (values)
    return listPattern(`one or more of ${values.join(', ')}`, `(${values.join('|')})`, values)
  if (schema.type === 'integer') return listPattern('integers', '-?[0-9]{1,15}')
  if (schema.type === 'number') return listPattern('numbers', '-?[0-9]{1,15}(\\.[0-9]{1,2})?')
  return listPattern('values')
}

/** The schema of one condition as a parameter of a query string. */
function parameterSchema({ field, operator, schema }: Condition): TSchema {
  const description = descriptions[operator](field, schema)
  if (operator === 'null') return Type.Boolean({ description, examples: [true] })
  const examples = [exampleOf(schema)]
  if (operator === 'like') return Text(100, { minLength: 1, description, examples })
  if (isListOperator(operator)) {
    const one = operator === 'in' ? schema : (schema.items as TSchema)
    const values = enumValues(one)?.slice(0, 2) ?? [exampleOf(one)]
    return Type.String({
      maxLength: 4000,
      pattern: patternOf(one),
      description,
      examples: [quotedList(values.map(String))]
    })
  }
  if (isInstant(schema))
    return Instant({
      format: 'date-or-date-time',
      description: `${description} A date means the whole day where the organization is.`,
      examples
    })
  const values = enumValues(schema)
  if (values) return OneOf(values, { description, examples })
  const { nullable: _n, example: _e, minLength: _m, description: _d, ...plain } = schema
  return Type.Unsafe({ ...plain, description, examples })
}

/** The values of a list that was validated by a pattern, which knows no bounds. Errors: 400. */
function valuesOf(name: string, text: string, schema: TSchema): unknown[] {
  if (text.includes('\0'))
    throw invalidParameter(name, `query parameter ${name} must not contain NUL`)
  const values = valuesIn(text)
  if (!isNumber(schema)) return values
  const { minimum = -Infinity, maximum = Infinity } = schema as {
    minimum?: number
    maximum?: number
  }
  const numbers = values.map(Number)
  const outside = numbers.find(number => number < minimum || number > maximum)
  if (outside === undefined) return numbers
  throw invalidParameter(
    name,
    `query parameter ${name} must be between ${minimum} and ${maximum}, not ${outside}`,
    { minimum, maximum, value: outside }
  )
}

const parametersOf = (conditions: Condition[]): TProperties =>
  Object.fromEntries(
    conditions.map(condition => [
      parameterName(condition),
      Type.Optional(parameterSchema(condition))
    ])
  )

/** A day against instants, as conditions on its bounds: `lte` includes all of the day. */
function withinDay({ field, operator }: Omit<Filter, 'value'>, day: string): Filter[] {
  const bound = (value: string, operator: Operator): Filter => ({
    field,
    operator,
    value,
    isDay: true
  })
  const start = (operator: Operator) => bound(day, operator)
  const end = (operator: Operator) => bound(dayAfter(day), operator)
  switch (operator) {
    case 'eq':
      return [start('gte'), end('lt')]
    case 'gt':
      return [end('gte')]
    case 'lte':
      return [end('lt')]
    default:
      return [start(operator)]
  }
}

/** Filters as parameters of a query string, and as text for those that are stored. */
export class FilterLanguage {
  readonly #conditions = new Map<string, Condition>()
  /** Those whose parameters have a key; no stored filter has one. */
  readonly keyed: KeyedFilters
  /** The schemas of the parameters, all of them optional. */
  readonly parameters: TProperties
  /** The parameters that only stored filters can have. */
  readonly #retired: TProperties
  #validate: ReturnType<typeof urlValidator> | undefined

  constructor(contract: FilterContract) {
    const { schema, filters = [], virtualFilters = {}, relatedRecords } = contract
    const virtual = Object.entries(virtualFilters).map(([field, filter]) => ({
      field,
      operator: 'eq' as const,
      schema: filter.schema,
      reads: columnsRead(contract, field)
    }))
    const fields = filters.map(field => ({ field, schema: fieldSchema(schema!, field) }))
    const columns = conditionsOf(contract)
    const related = Object.entries(relatedRecords?.() ?? {}).flatMap(([name, { to, column }]) =>
      conditionsOf(to)
        .filter(({ field }) => field !== 'id')
        .map(one => ({ ...one, field: `${name}.${one.field}`, reads: [column, ...one.reads] }))
    )
    const retired = fields.flatMap(({ field, schema }) =>
      retiredOperatorsOf(field, schema).map(operator => {
        const reads = columnsRead(contract, field)
        return { field, operator, schema, reads }
      })
    )
    this.parameters = {
      ...Object.fromEntries(
        virtual.map(({ field, schema }) => [
          field,
          Type.Optional({ examples: [exampleOf(schema)], ...schema })
        ])
      ),
      ...parametersOf([...columns, ...related])
    }
    this.#retired = parametersOf(retired)
    this.keyed = new KeyedFilters(virtual)
    for (const condition of [...columns, ...related, ...retired, ...virtual])
      this.#conditions.set(parameterName(condition), condition)
  }

  /**
   * The filters in a query that was validated against `parameters`; all of them must match. Errors:
   * 400 out of range, and for what the caller does not see.
   */
  read(ctx: Context, query: Record<string, unknown>): Filter[] {
    const hidden = this.#hiddenIn(ctx, query)
    if (hidden !== undefined) throw unknownParameter(hidden)
    return [...this.#filtersIn(query), ...this.keyed.read(query)]
  }

  /** The first parameter of a query that tells something about what the caller does not see. */
  #hiddenIn(ctx: Context, query: Record<string, unknown>): string | undefined {
    const given = [
      ...[...this.#conditions].map(([name, { reads }]) => ({ name, reads })),
      ...this.keyed.in(query)
    ]
    return given.find(
      ({ name, reads }) => query[name] !== undefined && reads.some(column => isHidden(ctx, column))
    )?.name
  }

  #filtersIn(query: Record<string, unknown>): Filter[] {
    return [...this.#conditions]
      .filter(([name]) => query[name] !== undefined)
      .flatMap(([name, { field, operator, schema }]) => {
        const value = query[name]
        if (isListOperator(operator)) {
          const one = operator === 'in' ? schema : (schema.items as TSchema)
          return { field, operator, value: valuesOf(name, String(value), one) }
        }
        return isInstant(schema) && typeof value === 'string' && isDay(value)
          ? withinDay({ field, operator }, value)
          : { field, operator, value }
      })
  }

  /** Whether a stored filter can have this parameter, such as `score[gte]`. */
  has(parameter: string): boolean {
    return this.#conditions.has(parameter)
  }

  /** As `parseStored`. Errors: also 422 for what the caller does not see. */
  parse(ctx: Context, text: string, pointer: string): Filter[] {
    const filters = this.parseStored(text, pointer)
    if (this.isHidden(ctx, text))
      throw ruleBroken(pointer, 'There is no such filter.', { rule: 'filter' })
    return filters
  }

  /** Whether a text has a filter by what the caller does not see. */
  isHidden(ctx: Context, text: string): boolean {
    return this.#hiddenIn(ctx, Object.fromEntries(new URLSearchParams(text))) !== undefined
  }

  /**
   * The filters in a text such as `source=website&score[gte]=50`, by whomever. `pointer` is the
   * place of the text in the body. Errors: 422.
   */
  parseStored(text: string, pointer: string): Filter[] {
    const refused = (faults: Pick<Fault, 'detail' | 'code' | 'params'>[]) => {
      const texts = faults.map(({ detail }) => detail.replace('query parameter ', ''))
      const filters = faults.map(({ code, params = {} }) => ({ code, params }))
      return ruleBroken(pointer, texts.join(' ').slice(0, 500), { rule: 'filter', filters })
    }
    const parameters = new URLSearchParams(text)
    const query: Record<string, unknown> = Object.fromEntries(parameters)
    if (parameters.size > Object.keys(query).length)
      throw refused([{ code: 'repeated', detail: 'A filter can use each condition only once.' }])
    const { error } = this.#validator()(query) as { error?: Failure[] }
    if (error) throw refused(error.map(one => faultOf(one, 'querystring')))
    try {
      return this.#filtersIn(query)
    } catch (problem) {
      throw problem instanceof Problem ? refused(problem.extra.errors!) : problem
    }
  }

  #validator() {
    const stored = Object.entries(this.parameters).filter(([, schema]) => !(keyPattern in schema))
    const properties = { ...Object.fromEntries(stored), ...this.#retired }
    const schema = Type.Object(properties, { additionalProperties: false })
    this.#validate ??= urlValidator(ajv(true).compile(schema), schema)
    return this.#validate
  }
}
