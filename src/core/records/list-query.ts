import { Type, type TObject } from '@sinclair/typebox'
import type { Context } from '../access/context.ts'
import { defined } from '../defined.ts'
import { invalidParameter, unknownParameter } from '../errors.ts'
import { bomParameter } from '../http/formats.ts'
import { explained, OneOf, Text } from '../http/schema.ts'
import { FilterLanguage, searchedFields, type FilterContract } from './filter-language.ts'
import type { Filter } from './filter.ts'
import type { ListQuery, Sort } from './list.ts'
import { wordsIn } from './search.ts'
import { shownFields } from './visibility.ts'

/** What a list offers besides filters: its sorts, and the names of what can be included. */
export interface ListContract extends FilterContract {
  path: string
  schema: TObject
  sorts?: readonly string[]
  include?: readonly string[]
}

/**
 * A list as it was requested over HTTP; `paged` is whether a limit or a cursor was given, `bom`
 * whether CSV starts with a byte order mark.
 */
export interface RequestedList extends ListQuery {
  include: string[]
  paged: boolean
  bom: boolean
}

/** A parameter that lists up to `max` of `names`. */
export const listOfNames = (
  names: readonly string[],
  max: number,
  description: string,
  example = names.slice(0, 3).join(',')
) => {
  const one = `(${names.join('|')})`
  const requirement = `must be up to ${max} of ${names.join(', ')}, separated by commas`
  const pattern = explained(`^${one}(,${one}){0,${max - 1}}$`, requirement, 'names', {
    allowed: names,
    maximum: max
  })
  return Type.Optional(Type.String({ maxLength: 1000, pattern, description, examples: [example] }))
}

export const limitParameter = Type.Optional(
  Type.Integer({
    format: 'int32',
    minimum: 1,
    maximum: 200,
    default: 50,
    description: 'Maximum number of rows per page.'
  })
)
export const cursorParameter = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: 2000,
    pattern: '^[A-Za-z0-9_.-]+$',
    description: '`next_cursor` of the previous page.'
  })
)

const deletedParameter = Type.Optional(
  Type.Boolean({ default: false, description: 'Whether to return deleted records instead.' })
)

/** The query string of a list that is only paged. */
export const PageQuery = Type.Object(
  { limit: limitParameter, cursor: cursorParameter },
  { additionalProperties: false }
)

/** The query string of a list: its schema, and how to read one that was validated against it. */
export class ListQueryReader {
  readonly #contract: ListContract
  readonly #filters: FilterLanguage
  readonly schema: TObject

  constructor(contract: ListContract) {
    this.#contract = contract
    this.#filters = new FilterLanguage(contract)
    this.schema = Type.Object(
      { ...this.#parameters(), ...this.#filters.parameters },
      { additionalProperties: false, patternProperties: this.#filters.keyed.patterns }
    )
  }

  #parameters() {
    const { schema, sorts = [], include = [] } = this.#contract
    const search = searchedFields(this.#contract)
    return defined({
      limit: limitParameter,
      cursor: cursorParameter,
      sort: sorts.length > 0 ? sortParameter(sorts) : undefined,
      fields: listOfNames(
        Object.keys(schema.properties),
        50,
        'Fields to return, separated by commas. Default: all.'
      ),
      include: include.length > 0 ? includeParameter(include) : undefined,
      q: search.length > 0 ? searchParameter(search) : undefined,
      count: Type.Optional(
        OneOf(['exact'], {
          description: '`exact` also returns the number of rows in the list as `total`.',
          examples: ['exact']
        })
      ),
      deleted: 'deleted_at' in schema.properties ? deletedParameter : undefined,
      bom: bomParameter
    })
  }

  /**
   * The list that a caller requests, with the fields that the caller sees. Errors: 400 for a field
   * that is sorted by twice, a value out of range, and what the caller does not see.
   */
  read(ctx: Context, query: Record<string, unknown>): RequestedList {
    const { limit, cursor, sort, fields, include, q, count, deleted, bom } = query as {
      limit?: number
      cursor?: string
      sort?: string
      fields?: string
      include?: string
      q?: string
      count?: string
      deleted?: boolean
      bom?: boolean
    }
    return {
      limit: limit ?? 50,
      paged: limit !== undefined || cursor !== undefined,
      include: namesIn(include),
      filters: this.#filters.read(ctx, query),
      count: count === 'exact',
      deleted: deleted === true,
      bom: bom === true,
      ...defined({
        cursor,
        fields: this.#fieldsFor(ctx, fields),
        sort: sort === undefined ? undefined : this.#sortFor(ctx, sort),
        words: q === undefined ? undefined : wordsIn(q)
      })
    }
  }

  /**
   * The filters of a list, as text in a body: `source=website&score[gte]=50`. Errors: 422 for what
   * is no filter, or of what the caller does not see.
   */
  filtersIn(ctx: Context, text: string, pointer: string): Filter[] {
    return this.#filters.parse(ctx, text, pointer)
  }

  /** The requested fields, in the order of the record; undefined: all of them. */
  #fieldsFor(ctx: Context, text: string | undefined): string[] | undefined {
    const { path, schema } = this.#contract
    if (text === undefined) return shownFields(ctx, this.#contract)
    const names = namesIn(text)
    assertKnown(ctx, path, 'fields', names)
    return Object.keys(schema.properties).filter(field => names.includes(field))
  }

  #sortFor(ctx: Context, text: string): Sort[] {
    const sort = sortIn(text)
    const names = sort.map(({ field }) => field)
    assertKnown(ctx, this.#contract.path, 'sort', names)
    return sort
  }
}

/** Errors: 400 for a field of a resource that the caller does not see. */
function assertKnown(ctx: Context, path: string, parameter: string, fields: string[]): void {
  const hidden = fields.find(field => ctx.hiddenFields(path).has(field))
  if (hidden !== undefined) throw unknownParameter(parameter, hidden)
}

const sortParameter = (sorts: readonly string[]) =>
  listOfNames(
    sorts.flatMap(field => [field, `-${field}`]),
    3,
    `Up to three of ${sorts.join(', ')}; a leading minus sign sorts in descending order. ` +
      'Nulls come last. Default: newest first.',
    `-${sorts.at(-1)}`
  )

const includeParameter = (names: readonly string[]) =>
  listOfNames(
    names,
    names.length,
    `Related records to return in \`included\`: ${names.join(', ')}.`
  )

const searchParameter = (fields: readonly string[]) =>
  Type.Optional(
    Text(200, {
      minLength: 1,
      description:
        `Words that must all occur in ${fields.join(', ')}, as whole words or parts of words, ` +
        'ignoring case, accents and punctuation. One or two characters match only the beginning ' +
        'of a word. Phone numbers can be in any notation. Pasted addresses (`Name <mail>`, ' +
        '`Last, First`, links) are understood.',
      examples: ['example']
    })
  )

const namesIn = (text: string | undefined): string[] =>
  text === undefined ? [] : [...new Set(text.split(','))]

function sortIn(text: string): Sort[] {
  const sort = text
    .split(',')
    .map(key => ({ field: key.replace(/^-/, ''), descending: key.startsWith('-') }))
  if (new Set(sort.map(({ field }) => field)).size < sort.length)
    throw invalidParameter('sort', 'sort can use each field only once', {
      expected: 'distinct_fields'
    })
  return sort
}
