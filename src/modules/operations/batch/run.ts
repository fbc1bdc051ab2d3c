import type { Context } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { LockNeeded } from '../../../core/db/locks.ts'
import { Problem, problemOfDatabase } from '../../../core/errors.ts'
import type { Identified } from '../../../core/http/responses.ts'
import { shownOf } from '../../../core/records/visibility.ts'
import { failedDependency } from './errors.ts'
import { dataOf, type Item, type Validate } from './items.ts'
import type { Done, Input } from './kinds.ts'
import { withIds } from './references.ts'
import { holdAll, runFrom } from './runs.ts'
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
      const run = runFrom(ctx, this.#items, i, item => this.#idIn(item))
      if (run.length > 1) await this.#together(ctx, run)
      else await this.#one(ctx, run[0])
      i += run.length
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
    await holdAll(ctx, this.#items)
  }

  async #one(ctx: Context, item: Item): Promise<void> {
    const input = this.#inputOf(item)
    this.#succeed(ctx, item, await item.kind.run(item.served, ctx, input), input)
  }

  /** Carries out alike operations in one statement. Errors: see `Together`. */
  async #together(ctx: Context, run: [Item, ...Item[]]): Promise<void> {
    const inputs = run.map(item => this.#inputOf(item))
    const { kind, served } = run[0]
    const { representation } = this.#options
    const done = await kind.together!.run(served, ctx, inputs, representation)
    for (const [i, item] of run.entries()) this.#succeed(ctx, item, done[i]!, inputs[i]!)
  }

  /** What an operation is carried out with. Errors: 424, 400. */
  #inputOf(item: Item): Input {
    const { operation, dependencies } = item
    const failed = [...dependencies].find(([, at]) => !this.#ids.has(at))
    if (failed) throw failedDependency(`The operation ${failed[0]} failed.`)
    const idOf = this.#idOf(item)
    const { body, problem } = dataOf(item, this.#options.validate, idOf)
    if (problem) throw problem
    const { if_match, match } = operation
    return {
      operation: { ...operation, ...(match && { match: withIds(match, idOf) as object }) },
      id: this.#idIn(item)!,
      body,
      versions: if_match === undefined ? undefined : [if_match],
      lenient: this.#options.lenient
    }
  }

  /** The ID of the record that an operation is for, if it names one. */
  #idIn(item: Item): number | undefined {
    return withIds(item.operation.id, this.#idOf(item)) as number | undefined
  }

  #idOf =
    ({ dependencies }: Item) =>
    (name: string): number =>
      this.#ids.get(dependencies.get(name)!)!

  #succeed(
    ctx: Context,
    { index, operation, served, kind }: Item,
    { status, outcome, row }: Done,
    input: Input
  ): void {
    const id = row?.id ?? input.id
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
}
