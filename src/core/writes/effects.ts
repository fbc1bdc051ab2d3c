import type { Context } from '../access/context.ts'
import { sql } from '../db/drizzle.ts'
import { compile, ours } from '../db/sql.ts'
import { changeKinds, events, type ChangeKind } from '../records/events.ts'
import { repository } from '../records/repository.ts'
import { allResources, targetsOf } from '../records/resource.ts'

/** What a write does to one record. `changed`: the fields of an update. */
export interface Effect {
  type: string
  id: number
  /** That the record will have; null if it has none. */
  version: number | null
  op: ChangeKind
  changed: string[]
}

type Values = Record<string, unknown>

/** A change of a record in the transaction, as the event log has it. */
interface Change {
  type: string
  id: number
  op: string
  changed: string[]
  before: Values | null
  after: Values | null
  details: Values | null
}

const changesOfTransaction = compile<Change>(sql`
  select subject_type as type, subject_id as id, split_part(type, '.', 2) as op, changed, before,
    after, details
  from ${ours(events)} where xid = pg_current_xact_id() and type <> 'export.started'
  order by events.id`)

/** What the transaction of `ctx` has done so far: each change of a record, in order. */
export class Effects {
  readonly #changes: Change[]
  /** What stands for the ID of each record that is new, by its type and ID. */
  readonly #created: Map<string, string>
  #texts: string[] | undefined

  private constructor(changes: Change[]) {
    const isNew = changes.filter(({ op }) => op === 'created')
    this.#changes = changes
    this.#created = new Map(isNew.map(({ type, id }, i) => [keyOf(type, id), `new ${i}`]))
  }

  static async of(ctx: Context): Promise<Effects> {
    return new Effects(await ctx.read(changesOfTransaction))
  }

  /** What is done to each record. */
  get ops(): string[] {
    return this.#changes.map(({ op }) => op)
  }

  /**
   * One text for each effect, with all that was read and written: equal texts are equal effects.
   * Values that no two runs have in common are left out: the IDs of new records, and times.
   */
  get texts(): string[] {
    return (this.#texts ??= this.#changes.map(({ id, type, before, after, details, ...change }) =>
      JSON.stringify({
        ...change,
        type,
        id: this.#idOf(type, id),
        before: this.#comparable(before, type),
        after: this.#comparable(after, type),
        details: details && Object.keys(details)
      })
    ))
  }

  #idOf(type: string, id: number): unknown {
    return this.#created.get(keyOf(type, id)) ?? id
  }

  /** A value without times, and with what stands for new records. `type`: of a record. */
  #comparable(value: unknown, type?: string): unknown {
    if (typeof value === 'string') return isTime(value) ? 'time' : value
    if (Array.isArray(value)) return value.map(item => this.#comparable(item))
    if (typeof value !== 'object' || value === null) return value
    const { type: linked, id } = value as Values
    const placeholder = this.#created.get(keyOf(type ?? String(linked), id))
    return Object.fromEntries(
      Object.entries(value).map(([name, field]) => [
        name,
        (name === 'id' ? placeholder : this.#reference(name, field)) ?? this.#comparable(field)
      ])
    )
  }

  /** What stands for the new record that a field refers to, if it does. */
  #reference(name: string, id: unknown): string | undefined {
    return targetsOfField(name)
      .map(type => this.#created.get(keyOf(type, id)))
      .find(placeholder => placeholder !== undefined)
  }

  /**
   * Those of the effects that the caller may know of, in order, with their index among all of them:
   * on records that the caller reads, with the fields that the caller sees.
   */
  async shownTo(ctx: Context): Promise<(Effect & { index: number })[]> {
    const byType = Map.groupBy(this.#changes, ({ type }) => type)
    const readable = new Set<string>()
    for (const [type, changes] of byType)
      for (const id of await readableIds(ctx, type, changes)) readable.add(keyOf(type, id))
    return this.#changes.flatMap(({ type, id, op, changed, after }, index) => {
      if (!isChangeKind(op) || !readable.has(keyOf(type, id))) return []
      const version = (after?.version as number | undefined) ?? null
      return [{ type, id, version, op, changed: shownNames(ctx, type, changed), index }]
    })
  }
}

const keyOf = (type: string, id: unknown) => `${type}/${String(id)}`

const isTime = (text: string) => /^\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(text)

const isChangeKind = (op: string): op is ChangeKind =>
  (changeKinds as readonly string[]).includes(op)

const resourceOfType = (type: string) => allResources().find(({ name }) => name === type)

/** The IDs among the changes of one type that the caller may read. */
async function readableIds(ctx: Context, type: string, changes: Change[]): Promise<number[]> {
  const ids = [...new Set(changes.map(({ id }) => id))]
  const resource = resourceOfType(type)
  // without a schema, it is a part of what the caller has changed, such as a conversion
  if (!resource?.schema) return ids
  if (!ctx.can(`${resource.path}:read`)) return []
  return (await repository(resource).findWithDeleted(ctx, ids)).map(({ id }) => id)
}

function shownNames(ctx: Context, type: string, changed: string[]): string[] {
  const resource = resourceOfType(type)
  if (!resource) return changed
  const hidden = ctx.hiddenFields(resource.path)
  return changed.filter(field => field in resource.columns && !hidden.has(field))
}

let targets: Map<string, string[]> | undefined

/** The types of records that fields of this name refer to. */
function targetsOfField(name: string): string[] {
  if (!targets) {
    targets = new Map()
    const all = allResources().flatMap(resource => [...targetsOf(resource)])
    for (const [field, to] of all) targets.set(field, [...(targets.get(field) ?? []), to.name])
  }
  return targets.get(name) ?? []
}
