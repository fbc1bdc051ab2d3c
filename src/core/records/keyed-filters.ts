import { Type, type TProperties, type TSchema } from '@sinclair/typebox'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { invalidParameter } from '../errors.ts'
import { keyPattern } from '../http/schema.ts'
import type { Filter } from './filter.ts'
import { listPattern, valuesIn } from './value-list.ts'

/** A virtual filter, and the columns that it tells something about. */
interface Keyed {
  field: string
  schema: TSchema
  reads: PgColumn[]
}

/** A parameter of one in a query. */
interface Parameter extends Keyed {
  name: string
  key: string
  isList: boolean
}

/** The most of these parameters in one query: callers choose how many there are. */
const maxParameters = 20

/**
 * Virtual filters whose schema is a map: their parameters have a key, as in `external[erp]=A-42`
 * and `external[erp][in]=A-42,A-43`.
 */
export class KeyedFilters {
  readonly #filters: (Keyed & { shape: RegExp })[]
  /** The schemas of the parameters, by patterns of their names. */
  readonly patterns: TProperties

  constructor(filters: Keyed[]) {
    this.#filters = filters
      .filter(({ schema }) => keyPattern in schema)
      .map(one => ({ ...one, shape: new RegExp(`^${one.field}\\[([^\\]]*)\\](\\[in\\])?$`) }))
    this.patterns = Object.fromEntries(
      this.#filters.flatMap(({ field, schema }) => {
        const key = String(schema[keyPattern]).replaceAll(/^\^|\$$/g, '')
        const pattern = listPattern('values')
        const list = Type.String({ minLength: 1, maxLength: 4000, pattern })
        return [
          [`^${field}\\[${key}\\]$`, schema.additionalProperties as TSchema],
          [`^${field}\\[${key}\\]\\[in\\]$`, list]
        ]
      })
    )
  }

  /** The parameters in a query that was validated against `patterns`. */
  in(query: Record<string, unknown>): Parameter[] {
    return this.#filters.flatMap(filter =>
      Object.keys(query).flatMap(name => {
        const [, key, list] = filter.shape.exec(name) ?? []
        return key === undefined ? [] : [{ ...filter, name, key, isList: list !== undefined }]
      })
    )
  }

  /**
   * The filters in a query: the value of each is the key, and then the values one of which it must
   * be. Errors: 400 for too many.
   */
  read(query: Record<string, unknown>): Filter[] {
    const parameters = this.in(query)
    const excess = parameters[maxParameters]
    if (excess) {
      const detail = `At most ${maxParameters} filters can have a key.`
      throw invalidParameter(excess.name, detail, { maximum: maxParameters })
    }
    return parameters.map(({ field, name, key, isList }) => {
      const text = String(query[name])
      if (text.includes('\0'))
        throw invalidParameter(name, `query parameter ${name} must not contain NUL`)
      return { field, operator: 'eq', value: [key, ...(isList ? valuesIn(text) : [text])] }
    })
  }
}
