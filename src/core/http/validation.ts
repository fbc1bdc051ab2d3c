import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import formats from 'ajv-formats'
import type { Fault } from '../errors.ts'
import { texts } from './schema.ts'

type Json = Record<string, unknown>
type Failure = Pick<ErrorObject, 'keyword' | 'instancePath' | 'schemaPath' | 'params' | 'message'>

/** A day that Postgres knows as well: not the year 0, which ISO 8601 has and calendars have not. */
function isDay(text: string): boolean {
  if (!/^(?!0000)\d{4}-\d{2}-\d{2}$/.test(text)) return false
  const day = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text)
}

/** A point in time that Postgres reads, and that is one of the years 1 to 9999 also when it is told in UTC. */
function isStorable(text: string): boolean {
  if (/[+-](1[6-9]|2\d):?\d\d$/.test(text)) return false
  const year = new Date(text).getUTCFullYear()
  return year >= 1 && year <= 9999
}

/** Checks JSON as we mean our schemas; `coerceTypes` is for what stands in a URL. */
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
  const wellFormed = ajv.formats['date-time'] as { validate: (text: string) => boolean }
  const isInstant = (text: string) => wellFormed.validate(text) && isStorable(text)
  ajv.addFormat('date-time', isInstant)
  ajv.addFormat('date-or-date-time', (text: string) => isDay(text) || isInstant(text))
  ajv.addFormat(
    'date-time-or-duration',
    (text: string) => /^[1-9][0-9]{0,3}[hdw]$/.test(text) || isDay(text) || isInstant(text)
  )
  // Ajv divides floats, and 0.29 / 0.01 is no integer: two decimals are counted in decimal notation instead
  ajv.removeKeyword('multipleOf')
  ajv.addKeyword({
    keyword: 'multipleOf',
    type: 'number',
    schemaType: 'number',
    error: { message: ({ schema }) => `must have no more decimals than ${schema}` },
    validate: (step: number, value: number) => Number(value.toFixed(decimals(step))) === value
  })
  return ajv
}
const decimals = (step: number) => String(step).split('.')[1]?.length ?? 0

/** Numbers and booleans in a URL are spelled one way: `1`, not `01`, `1.0`, `1e0`, `+1` or ` 1`. */
const spellings: Record<string, RegExp> = {
  integer: /^(0|-?[1-9][0-9]{0,15})$/,
  number: /^-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,15})?$/,
  boolean: /^(true|false)$/
}

function misspelt(
  properties: Record<string, { type?: string }>,
  data: Json
): Failure[] | undefined {
  let wrong: Failure[] | undefined
  for (const name in data) {
    const type = properties[name]?.type
    const value = data[name]
    if (type === undefined || typeof value !== 'string' || spellings[type]?.test(value) !== false)
      continue
    const message = `must be ${type === 'integer' ? 'an integer' : `a ${type}`}, written as ${type === 'boolean' ? 'true or false' : 'JSON does'}`
    ;(wrong ??= []).push({
      keyword: 'type',
      instancePath: `/${name}`,
      schemaPath: '',
      params: { type },
      message
    })
  }
  return wrong
}

/** Checks what stands in a URL: text, which becomes numbers and booleans where the schema says so. */
export function urlValidator(validate: ValidateFunction, schema: Json) {
  const properties = schema.properties as Record<string, { type?: string }>
  return (data: Json) => {
    const wrong = misspelt(properties, data)
    return wrong ? { error: wrong } : validate(data) ? { value: data } : { error: validate.errors }
  }
}

/** Fields that a caller reads and never writes. */
const setByUs = new Set([
  'id',
  'version',
  'created_at',
  'created_by',
  'updated_at',
  'updated_by',
  'deleted_at',
  'grade',
  'moved_at',
  'qualified_at',
  'converted_at',
  'closed_at',
  'responded_at'
])

/** What an error of Ajv means to the caller. `part`: `body`, `querystring` or `params`. */
export function faultOf(error: Failure, part: string): Fault {
  const { keyword, instancePath, params, message } = error
  const missing = (params.missingProperty ?? params.additionalProperty) as string | undefined
  const path =
    missing === undefined
      ? instancePath
      : `${instancePath}/${missing.replaceAll('~', '~0').replaceAll('/', '~1')}`
  const schema = (error as { parentSchema?: { description?: string } }).parentSchema
  const detail =
    keyword === 'additionalProperties'
      ? setByUs.has(missing ?? '') && part === 'body'
        ? 'is set by the server; leave it out'
        : 'is not known here'
      : keyword === 'required'
        ? 'is required'
        : keyword === 'minProperties'
          ? 'names no field to change'
          : keyword === 'pattern'
            ? patternText(schema as { pattern: string; description?: string })
            : keyword === 'minLength'
              ? 'must not be empty'
              : keyword === 'format'
                ? formatText(params.format as string)
                : keyword === 'type' && path === ''
                  ? 'is missing: send a JSON object'
                  : keyword === 'enum'
                    ? `must be one of ${(params.allowedValues as unknown[]).map(String).join(', ')}`
                    : (message ?? 'is not valid')
  const place = part === 'body' ? { pointer: path } : { parameter: path.slice(1) }
  const name =
    path === ''
      ? 'The body'
      : `${part === 'body' ? '' : `${part === 'querystring' ? 'query' : 'path'} parameter `}${path.slice(1)}`
  return {
    ...place,
    code: keyword === 'additionalProperties' ? 'unknown' : keyword,
    detail: `${name} ${detail}`.slice(0, 500)
  }
}

const patternText = ({ pattern, description }: { pattern: string; description?: string }) =>
  texts.includes(pattern)
    ? 'must be text with something to see in it, without NUL or half characters'
    : `is not what it takes: ${description ?? pattern}`

const formatTexts: Record<string, string> = {
  email: 'must be an e-mail address',
  date: 'must be a day, as 2026-11-22',
  'date-time': 'must be a point in time, as 2026-11-22T09:00:00Z',
  'date-or-date-time': 'must be a day or a point in time, as 2026-11-22 or 2026-11-22T09:00:00Z',
  'date-time-or-duration':
    'must be a span of time up to now, a day or a point in time, as 30d, 2026-11-22 or 2026-11-22T09:00:00Z'
}
const formatText = (format: string) => formatTexts[format] ?? `must match format "${format}"`
