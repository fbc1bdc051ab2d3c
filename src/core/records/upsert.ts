import type { Context } from '../access/context.ts'
import { withAttempts } from '../attempts.ts'
import { columnNamed, isExternalIds, keyOf } from '../db/columns.ts'
import { sql } from '../db/drizzle.ts'
import { creationLock, type Lock } from '../db/locks.ts'
import {
  ambiguousMatch,
  deletedMatch,
  missingFields,
  noneToMatch,
  Problem,
  stale,
  unknownFields,
  type Match
} from '../errors.ts'
import {
  assertUnchanged,
  dropUnchanged,
  fieldsIn,
  repeatedFields,
  setAside
} from '../http/bodies.ts'
import type { Identified } from '../http/responses.ts'
import { hasExternalId } from './external-ids.ts'
import { equal, type Filter } from './filter.ts'
import { namesOf } from './names.ts'
import { repository, type Versions } from './repository.ts'
import type { Resource } from './resource.ts'
import { assertShown, assertWritable, placesIn, placesOf } from './visibility.ts'

type Fields = Record<string, unknown>

/** What a record is matched by: a filter for those that match, and the key of their lock. */
export interface RecordKey {
  filter: Filter
  /** The field that the value is in, as matches name it. */
  field: string
  /** The records with this key are created by one transaction at a time. */
  lock: Lock
}

/** `update` changes the match, `fill` only its fields that are null; `keep` leaves it as it is. */
export const onMatch = ['update', 'fill', 'keep'] as const
/** What happens if the only match is deleted. */
export const onDeleted = ['restore', 'create'] as const

export interface UpsertOptions {
  key: RecordKey
  on_match?: (typeof onMatch)[number] | undefined
  on_deleted?: (typeof onDeleted)[number] | undefined
  /** Those that the match may have. */
  versions?: Versions
  /** Whether there must be a match. */
  mustExist?: boolean
}

export interface Upserted<Row> {
  row: Row
  outcome: 'created' | 'updated' | 'unchanged' | 'restored'
}

/** The operations of a service that an upsert consists of. */
export interface Upsertable<Row extends Identified> {
  create: (ctx: Context, input: never) => Promise<Row>
  update: (ctx: Context, id: number, changes: never, versions?: Versions) => Promise<Row>
  restore?: (ctx: Context, id: number) => Promise<Row>
  /**
   * Runs `work` with the locks of these operations that come before those of keys (see
   * core/db/locks.ts); a service without it needs none.
   */
  withLocks?: <T>(ctx: Context, work: (ctx: Context) => Promise<T>) => Promise<T>
}

/** The key of records by a field, which lists compare it as. */
export async function fieldKey(
  ctx: Context,
  { name, table }: Resource,
  field: string,
  value: string
): Promise<RecordKey> {
  const [row] = await ctx.read<{ key: string }>(
    sql`select ${keyOf(columnNamed(table, field), sql`${value}`)} as key`
  )
  const lock = creationLock(name, field, row!.key)
  return { filter: equal({ [field]: value })[0]!, field, lock }
}

/** The key of a record by its ID in another system. */
export const externalKey = ({ name }: Resource, source: string, value: string): RecordKey => ({
  filter: hasExternalId(source, value),
  field: `external_ids/${source}`,
  lock: creationLock(name, `external ${source}`, value)
})

/** How often an upsert is tried whose match others change meanwhile. */
const maxAttempts = 10
const maxMatches = 10

/**
 * Creates a record, or changes the one that the caller reads and that has the key: upserts with
 * one key make one record, however many run at once. It has the rules, scores and assignments of
 * the operations that it consists of. Errors: those of these operations; 409 for several matches,
 * or a deleted one; 412; 403 where the caller may not do what is to be done.
 */
export async function upsert<Row extends Identified>(
  ctx: Context,
  resource: Resource,
  service: Upsertable<Row>,
  options: UpsertOptions,
  input: Fields
): Promise<Upserted<Row>> {
  assertShown(ctx, resource, placesOf(fieldsIn(input)))
  const { withLocks = async (ctx, work) => await work(ctx) } = service
  const one = new Upsert(resource, service, options, input)
  return await withLocks(
    ctx,
    async ctx =>
      await ctx.withLocks(
        [options.key.lock],
        async ctx => await withAttempts(maxAttempts, async () => await one.attempt(ctx))
      )
  )
}

class Upsert<Row extends Identified> {
  readonly #resource: Resource
  readonly #service: Upsertable<Row>
  readonly #options: UpsertOptions
  readonly #input: Fields

  constructor(resource: Resource, service: Upsertable<Row>, options: UpsertOptions, input: Fields) {
    this.#resource = resource
    this.#service = service
    this.#options = options
    this.#input = input
  }

  /** undefined: the match was changed by someone else meanwhile. */
  async attempt(ctx: Context): Promise<Upserted<Row> | undefined> {
    const { on_deleted, versions, mustExist } = this.#options
    const [match, ...others] = await this.#matches(ctx, false)
    if (others.length > 0) throw ambiguousMatch(await this.#named(ctx, [match!, ...others]))
    if (match) {
      if (versions && !versions.includes(match.version)) throw stale(match.version)
      return await this.#change(ctx, match)
    }
    if (mustExist) throw noneToMatch(this.#resource.label)
    const deleted = on_deleted === 'create' ? [] : await this.#matches(ctx, true)
    if (deleted.length === 0) return { row: await this.#create(ctx), outcome: 'created' }
    if (deleted.length > 1) throw ambiguousMatch(await this.#named(ctx, deleted))
    if (on_deleted === undefined) throw deletedMatch(await this.#named(ctx, deleted))
    return await this.#restore(ctx, deleted[0]!)
  }

  async #matches(ctx: Context, deleted: boolean): Promise<Row[]> {
    const query = { filters: [this.#options.key.filter], deleted, limit: maxMatches }
    const { data } = await repository(this.#resource).list(ctx, query)
    return data as unknown as Row[]
  }

  async #named(ctx: Context, rows: Row[]): Promise<Match[]> {
    const ids = rows.map(({ id }) => id)
    const named = await namesOf(ctx, this.#resource.name, ids)
    return named
      .map(({ id, name }) => {
        return { type: this.#resource.name, id, name, by: [this.#options.key.field] }
      })
      .toSorted((a, b) => a.id - b.id)
  }

  async #create(ctx: Context): Promise<Row> {
    const { path, create } = this.#resource
    ctx.require(`${path}:create`)
    const repeated = repeatedFields(this.#input)
    if (repeated.length > 0) throw unknownFields(repeated.map(name => `/${name}`))
    const missing = (create!.required ?? []).filter(field => this.#input[field] === undefined)
    if (missing.length > 0) throw missingFields(missing.map(name => `/${name}`))
    assertWritable(ctx, this.#resource, 'create', placesIn(this.#input))
    return await this.#service.create(ctx, this.#input as never)
  }

  async #restore(ctx: Context, { id }: Row): Promise<Upserted<Row> | undefined> {
    ctx.require(`${this.#resource.path}:delete`)
    const restored = await this.#service.restore!(ctx, id)
    const changed = await this.#change(ctx, restored)
    return changed && { row: changed.row, outcome: 'restored' }
  }

  async #change(ctx: Context, match: Row): Promise<Upserted<Row> | undefined> {
    const { on_match = 'update' } = this.#options
    if (on_match === 'keep') return { row: match, outcome: 'unchanged' }
    ctx.require(`${this.#resource.path}:update`)
    const changes = this.#changesOf(ctx, match)
    assertWritable(ctx, this.#resource, 'update', placesIn(changes))
    try {
      const row = await this.#service.update(ctx, match.id, changes as never, [match.version])
      return { row, outcome: row.version === match.version ? 'unchanged' : 'updated' }
    } catch (error) {
      const isOvertaken = error instanceof Problem && ['stale', 'not_found'].includes(error.code)
      if (isOvertaken) return undefined
      throw error
    }
  }

  /** What is to be changed of a match. Errors: 409 for fields that no update can change. */
  #changesOf(ctx: Context, match: Row): Fields {
    const { path, update } = this.#resource
    const before = match as unknown as Fields
    const isFilling = this.#options.on_match === 'fill'
    const readOnly = ctx.principal.access.readOnlyFields(`${path}:update`)
    assertUnchanged(this.#input, match)
    const changes = Object.fromEntries(
      Object.entries(this.#input).flatMap(([name, value]): [string, unknown][] => {
        if (isExternalIds({ name })) return externalChanges(before[name], value, isFilling)
        return isFilling && before[name] !== null ? [] : [[name, value]]
      })
    )
    setAside(changes, name => !(name in update!.properties))
    assertUnchanged(changes, match)
    dropUnchanged(changes, match, readOnly)
    return changes
  }
}

/** The external IDs that a body changes, if any; of a record with those `before`. */
function externalChanges(before: unknown, given: unknown, isFilling: boolean): [string, unknown][] {
  const known = before as Record<string, string>
  const wanted = given as Record<string, string | null> | null
  if (wanted === null) return isFilling ? [] : [['external_ids', null]]
  const changed = Object.entries(wanted).filter(([source, value]) => {
    const current = Object.hasOwn(known, source) ? known[source]! : null
    return isFilling ? current === null && value !== null : current !== value
  })
  return changed.length > 0 ? [['external_ids', Object.fromEntries(changed)]] : []
}
