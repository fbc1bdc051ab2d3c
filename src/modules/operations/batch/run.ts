import type { Context } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { LockNeeded } from '../../../core/db/locks.ts'
import { Problem, problemOfDatabase } from '../../../core/errors.ts'
import type { Identified } from '../../../core/http/responses.ts'
import { repository } from '../../../core/records/repository.ts'
import { assertWritable, placesIn, shownOf } from '../../../core/records/visibility.ts'
import { failedDependency } from './errors.ts'
import { dataOf, type Item, type Validate } from './items.ts'
import type { Done } from './kinds.ts'
import { withIds } from './references.ts'
import type { BatchResult } from './schema.ts'

export interface RunOptions {
  validate: Validate
  lenient: boolean
  /** Whether results have the whole records. */
  representation: boolean
  /** The body of a problem, as a response would have it. */
  bodyOf: (problem: Problem) => object
}

/** The results of a batch, and the problems of those operations that failed, by their places. */
export interface Results {
  results: BatchResult[]
  problems: Map<number, Problem>
}

/** Carries out the operations of a batch in the transaction of `ctx`, once. */
export class BatchRun {
  readonly #items: Item[]
  readonly #options: RunOptions
  /** The IDs of the records of operations, by their places; missing for those that failed. */
  readonly #ids = new Map<number, number>()
  /** The versions of the records that were changed, by type and ID. */
  readonly #versions = new Map<string, number>()
  readonly #results: BatchResult[] = []
  readonly #problems = new Map<number, Problem>()
  #now = ''

  constructor(items: Item[], options: RunOptions) {
    this.#items = items
    this.#options = options
  }

  /** Carries out all operations. Errors: those of the first one that fails. */
  async all(ctx: Context): Promise<Results> {
    await this.#begin(ctx)
    for (let i = 0; i < this.#items.length;) {
      const alike = this.#creationsFrom(i)
      if (alike.length > 1) await this.#createEach(ctx, alike)
      else await this.#one(ctx, this.#items[i]!)
      i += Math.max(1, alike.length)
    }
    return { results: this.#results, problems: this.#problems }
  }

  /** Carries out each operation that can be. */
  async each(ctx: Context): Promise<Results> {
    await this.#begin(ctx)
    for (const item of this.#items) {
      try {
        await ctx.attempt(async ctx => await this.#one(ctx, item))
      } catch (error) {
        if (error instanceof LockNeeded) throw error
        const problem = error instanceof Problem ? error : problemOfDatabase(error)
        if (!problem || problem.status >= 500) throw error
        this.#fail(item, problem)
      }
    }
    return { results: this.#results, problems: this.#problems }
  }

  async #begin(ctx: Context): Promise<void> {
    const row = await ctx.one<{ now: string }>(sql`select now()::timestamptz(3) as now`)
    this.#now = row!.now
  }

  async #one(ctx: Context, item: Item): Promise<void> {
    const { operation, served, kind, index } = item
    const failed = [...item.dependencies].find(([, at]) => !this.#ids.has(at))
    if (failed) throw failedDependency(`The operation ${failed[0]} failed.`)
    const idOf = this.#idOf(item)
    const { body, problem } = dataOf(item, this.#options.validate, idOf)
    if (problem) throw problem
    const { if_match } = operation
    const done = await kind.run(served, ctx, {
      operation: {
        ...operation,
        ...(operation.match && { match: withIds(operation.match, idOf) as object })
      },
      id: withIds(operation.id, idOf) as number,
      body,
      versions: if_match === undefined ? undefined : [if_match],
      lenient: this.#options.lenient
    })
    this.#succeed(ctx, item, done, withIds(operation.id, idOf) as number | undefined)
    if (index !== this.#results.length - 1) throw new Error('results are out of order')
  }

  #idOf =
    ({ dependencies }: Item) =>
    (name: string): number =>
      this.#ids.get(dependencies.get(name)!)!

  #succeed(
    ctx: Context,
    { index, operation, served, kind }: Item,
    { status, outcome, row }: Done,
    known?: number
  ): void {
    const id = row?.id ?? known!
    this.#ids.set(index, id)
    const { representation } = this.#options
    this.#results.push({
      index,
      ...(operation.ref !== undefined && { ref: operation.ref }),
      status,
      id,
      ...(row && { version: row.version }),
      outcome:
        outcome ??
        (this.#hasChanged(served.resource.name, row!) ? (kind.changes ?? 'updated') : 'unchanged'),
      ...(row && representation && { record: shownOf(ctx, served.resource, row) })
    })
    if (row) this.#versions.set(`${served.resource.name}/${id}`, row.version)
  }

  /** Whether a record was changed just now. */
  #hasChanged(type: string, row: Identified): boolean {
    const before = this.#versions.get(`${type}/${row.id}`)
    if (before !== undefined) return row.version !== before
    return (row as Identified & { updated_at?: string }).updated_at === this.#now
  }

  #fail({ index, operation }: Item, problem: Problem): void {
    this.#problems.set(index, problem)
    this.#results.push({
      index,
      ...(operation.ref !== undefined && { ref: operation.ref }),
      status: problem.status,
      problem: this.#options.bodyOf(problem)
    })
  }

  /** The creations from an index on that are one statement: of a type without its own rules. */
  #creationsFrom(start: number): Item[] {
    const first = this.#items[start]!
    const { resource, service } = first.served
    const isPlain = service.create === (repository(resource).create as unknown)
    if (first.operation.op !== 'create' || !isPlain) return []
    const alike: Item[] = []
    for (const item of this.#items.slice(start)) {
      const isAlike = item.operation.op === 'create' && item.served === first.served
      const isReady = [...item.dependencies.values()].every(at => at < start)
      if (!isAlike || !isReady) break
      alike.push(item)
    }
    return alike
  }

  async #createEach(ctx: Context, items: Item[]): Promise<void> {
    const { resource } = items[0]!.served
    ctx.require(`${resource.path}:create`)
    const bodies = items.map(item => {
      const { body, problem } = dataOf(item, this.#options.validate, this.#idOf(item))
      if (problem) throw problem
      assertWritable(ctx, resource, 'create', placesIn(body))
      return body
    })
    const rows = await repository(resource).createEach(ctx, bodies)
    for (const [i, row] of rows.entries())
      this.#succeed(ctx, items[i]!, { status: 201, outcome: 'created', row })
  }
}
