import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import type { DataValidationCxt } from 'ajv/dist/types/index.js'
import formats from 'ajv-formats'
import { invalid, type Fault, type Problem } from '../errors.ts'
import { isEmail } from './email.ts'
import { keyPattern, maxDecimals, requirementOf, truncatedInstant } from './schema.ts'

type Json = Record<string, unknown>
/** An error of Ajv, or one of our own in the same form. */
export type Failure = Pick<
  ErrorObject,
  'keyword' | 'instancePath' | 'schemaPath' | 'params' | 'message'
> & {
  parentSchema?: { $id?: string; pattern?: string; properties?: object }
  schema?: unknown
  data?: unknown
}

/** A date that Postgres accepts: not in the year 0, which ISO 8601 has and calendars do not. */
function isDay(text: string): boolean {
  if (!/^(?!0000)\d{4}-\d{2}-\d{2}$/.test(text)) return false
  const day = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text)
}

/** An instant that Postgres accepts and whose year in UTC is 1 to 9999. */
function isStorable(text: string): boolean {
  if (/[+-](1[6-9]|2\d):?\d\d$/.test(text)) return false
  const year = new Date(text).getUTCFullYear()
  return year >= 1 && year <= 9999
}

/** The validator of JSON; `coerceTypes` is for the text in URLs. */
export function ajv(coerceTypes: boolean) {
  const ajv = new Ajv({
    allErrors: true,
    verbose: true,
    coerceTypes,
    useDefaults: false,
    removeAdditional: false,
    strict: false
  })
  ;(formats as unknown as typeof formats.default)(ajv)
  ajv.addFormat('date', isDay)
  ajv.addFormat('idn-email', isEmail)
  const wellFormed = ajv.formats['date-time'] as { validate: (text: string) => boolean }
  const isInstant = (text: string) => wellFormed.validate(text) && isStorable(text)
  ajv.addFormat('date-time', isInstant)
  ajv.addFormat('date-or-date-time', (text: string) => isDay(text) || isInstant(text))
  ajv.addFormat(
    'date-time-or-duration',
    (text: string) => /^[1-9][0-9]{0,3}[hdw]$/.test(text) || isDay(text) || isInstant(text)
  )
  // Postgres would round, and the end of a day from .NET or Python would become the next day
  ajv.addKeyword({
    keyword: truncatedInstant,
    type: 'string',
    modifying: true,
    errors: false,
    validate: (_schema: true, text: string, _parent?: object, place?: DataValidationCxt) => {
      if (place) place.parentData[place.parentDataProperty] = text.replace(/(\.\d{3})\d+/, '$1')
      return true
    }
  })
  ajv.addKeyword({
    keyword: keyPattern,
    type: 'object',
    schemaType: 'string',
    compile: (pattern: string) => {
      const shape = new RegExp(pattern)
      return (map: object) => Object.keys(map).every(key => shape.test(key))
    }
  })
  ajv.addKeyword({
    keyword: maxDecimals,
    type: 'number',
    schemaType: 'number',
    validate: (decimals: number, value: number) => Number(value.toFixed(decimals)) === value
  })
  return ajv
}

/** Numbers and booleans in a URL have one spelling: `1`, not `01`, `1.0`, `1e0`, `+1` or ` 1`. */
const spellings: Record<string, RegExp> = {
  integer: /^(0|-?[1-9][0-9]{0,15})$/,
  number: /^-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,15})?$/,
  boolean: /^(true|false)$/
}

function misspelled(
  properties: Record<string, { type?: string }>,
  data: Json
): Failure[] | undefined {
  let failures: Failure[] | undefined
  for (const name in data) {
    const type = properties[name]?.type
    const value = data[name]
    if (type === undefined || typeof value !== 'string') continue
    if (spellings[type]?.test(value) !== false) continue
    failures ??= []
    failures.push({
      keyword: 'type',
      instancePath: `/${name}`,
      schemaPath: '',
      params: { type }
    })
  }
  return failures
}

/** Validates the text in a URL, converting it to numbers and booleans as the schema says. */
export function urlValidator(validate: ValidateFunction, schema: Json) {
  const properties = schema.properties as Record<string, { type?: string }>
  return (data: Json) => {
    const failures = misspelled(properties, data)
    if (failures) return { error: failures }
    return validate(data) ? { value: data } : { error: validate.errors }
  }
}

const serverSet = new Map<string, ReadonlySet<string>>()

/** Names the fields that a body of this schema must leave out because the server sets them. */
export function declareServerSetFields(schemaId: string, fields: string[]): void {
  serverSet.set(schemaId, new Set(fields))
}

const formatTexts: Record<string, string> = {
  'idn-email': 'must be an email address',
  date: 'must be a date, such as 2026-11-22',
  'date-time': 'must be a date and time with a time zone, such as 2026-11-22T09:00:00Z',
  'date-or-date-time': 'must be a date or a date and time, such as 2026-11-22T09:00:00Z',
  'date-time-or-duration':
    'must be a duration, a date, or a date and time, such as 30d or 2026-11-22T09:00:00Z'
}

const typeTexts: Record<string, string> = {
  string: 'must be a string',
  integer: 'must be an integer',
  number: 'must be a number',
  boolean: 'must be true or false',
  array: 'must be an array',
  object: 'must be an object'
}

const counted = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`

const bodyText = (body: unknown) =>
  body === undefined || body === null ? 'is missing: send a JSON object' : 'must be a JSON object'

/** What an error of Ajv means to the caller: in words, and the values that are in them. */
interface Explanation {
  text: string
  params?: Json
  /** Default: the keyword. */
  code?: string
}

const atLeast = ({ keyword, params }: Failure, noun: string): Explanation => ({
  text: `must have at least ${counted(params.limit as number, noun)}`,
  params: { [keyword]: params.limit }
})
const atMost = ({ keyword, params }: Failure, noun: string): Explanation => ({
  text: `must have at most ${counted(params.limit as number, noun)}`,
  params: { [keyword]: params.limit }
})

/** The field of a parameter: `amount` of `amount[gte]`. */
const baseOf = (parameter: string) => parameter.split('[', 1)[0]!

/** How a parameter is written, whose value may be a map: `external[<key>]`. */
const spelled = ([name, schema]: [string, object]) =>
  keyPattern in schema ? `${name}[<key>]` : name

/** By keyword; others have Ajv's own message. */
const explanations: Record<string, (failure: Failure, path: string) => Explanation> = {
  additionalProperties: ({ params, parentSchema }) => {
    const fields = serverSet.get(parentSchema?.$id ?? '')
    if (fields?.has(params.additionalProperty as string)) {
      const text = 'is set by the server and must be omitted'
      return { code: 'unknown', text, params: { server_set: true } }
    }
    const known = Object.entries(parentSchema?.properties ?? {}).map(spelled)
    const field = baseOf(params.additionalProperty as string)
    const ofField = known.filter(name => baseOf(name) === field)
    // a field with another operator, or one that needs an operator
    const names = ofField.length > 0 ? ofField : [...new Set(known.map(baseOf))]
    const text = known.length > 0 ? `is unknown; known: ${names.join(', ')}` : 'is unknown'
    return { code: 'unknown', text, params: { known } }
  },
  required: () => ({ text: 'is required' }),
  maxProperties: failure => atMost(failure, 'key'),
  [keyPattern]: ({ schema }) => ({ code: 'pattern', ...requirementOf(schema as string)! }),
  minProperties: ({ params }) => ({
    text: 'must contain at least one field to change',
    params: { minProperties: params.limit }
  }),
  pattern: ({ parentSchema }) => {
    const pattern = parentSchema?.pattern ?? ''
    return requirementOf(pattern) ?? { text: 'has an invalid format', params: { pattern } }
  },
  minLength: failure =>
    failure.params.limit === 1
      ? { text: 'must not be empty', params: { minLength: 1 } }
      : atLeast(failure, 'character'),
  maxLength: failure => atMost(failure, 'character'),
  minItems: failure => atLeast(failure, 'item'),
  maxItems: failure => atMost(failure, 'item'),
  uniqueItems: () => ({ text: 'must not contain duplicates' }),
  minimum: ({ params }) => ({
    text: `must be at least ${params.limit}`,
    params: { minimum: params.limit }
  }),
  maximum: ({ params }) => ({
    text: `must be at most ${params.limit}`,
    params: { maximum: params.limit }
  }),
  // clients know it by the code of the keyword that checked it at first
  [maxDecimals]: ({ schema }) => ({
    code: 'multipleOf',
    text: `must have at most ${counted(schema as number, 'decimal place')}`,
    params: { decimals: schema }
  }),
  format: ({ params: { format } }) => ({
    text: formatTexts[format as string] ?? `must match the format "${String(format)}"`,
    params: { format }
  }),
  type: ({ params: { type }, data }, path) => ({
    text: path === '' ? bodyText(data) : typeTexts[type as string]!,
    params: { type }
  }),
  enum: ({ params: { allowedValues } }) => ({
    text: `must be one of ${(allowedValues as unknown[]).map(String).join(', ')}`,
    params: { allowed: allowedValues }
  })
}

/** The part of a request that an error is in: how it is named, and where it points. */
const parts: Record<
  string,
  { label: string; place: (path: string) => Pick<Fault, 'pointer' | 'parameter'> }
> = {
  body: { label: '', place: path => ({ pointer: path }) },
  querystring: { label: 'query parameter ', place: path => ({ parameter: path.slice(1) }) },
  params: { label: 'path parameter ', place: path => ({ parameter: path.slice(1) }) }
}

/** An error of Ajv as the caller sees it. `part`: `body`, `querystring` or `params`. */
export function faultOf(failure: Failure, part: string): Fault {
  const { keyword, instancePath, params, message = 'is not valid' } = failure
  const property = (params.missingProperty ?? params.additionalProperty) as string | undefined
  const path = property === undefined ? instancePath : `${instancePath}/${escapePointer(property)}`
  const {
    text,
    code = keyword,
    params: values = {}
  } = explanations[keyword]?.(failure, path) ?? { text: message }
  const { label, place } = parts[part] ?? parts.params!
  const name = path === '' ? 'The body' : `${label}${path.slice(1)}`
  return {
    ...place(path),
    code,
    detail: `${name} ${text}`.slice(0, 500),
    params: values
  }
}

/** No name of ours is as long: it may be a token in the wrong place, which is not repeated. */
const longestName = 40
const shortened = (name: string) => (name.length > longestName ? `${name.slice(0, 12)}…` : name)

/** A property name as a part of a JSON pointer (RFC 6901). */
const escapePointer = (name: string) => shortened(name).replaceAll('~', '~0').replaceAll('/', '~1')

const maxFaults = 100

/** The problem for what a validator refuses in a part of a request: one fault for each value. */
export function invalidIn(failures: Failure[], part: string): Problem {
  // of several faults of one value the first is enough: a form shows one
  const faults = new Map(
    failures
      .slice(0, maxFaults)
      .map(failure => faultOf(failure, part))
      .toReversed()
      .map(fault => [fault.pointer ?? fault.parameter, fault])
  )
  return invalid([...faults.values()].toReversed())
}
