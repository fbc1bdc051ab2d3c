import type { Context } from '../../../core/access/context.ts'
import { Problem, problemOfDatabase } from '../../../core/errors.ts'
import { shownOf } from '../../../core/records/visibility.ts'
import { failedDependency } from './errors.ts'
import { bodyOf, type Item, type Validate } from './items.ts'
import type { Done, Input } from './kinds.ts'
import { withIds } from './references.ts'
import { holdAll, recordKey, runFrom, type Range } from './runs.ts'
import type { BatchResult } from './schema.ts'

export interface RunOptions {
  validate: Validate
  lenient: boolean
  /** Whether results have the whole records. */
  representation: boolean
}

/** The results of a batch, and the problems of those operations that failed, by their places. */
export interface Results {
  results: BatchResult[]
  problems: Map<number, Problem>
  /** The operation that all of them are, if they are one. */
  operation_id: number | null
}

/** What was refused: one operation, or several in one statement. */
interface Refused {
  range: Range
  problem: Problem
}

/** The reason for an error that is one of an operation, and not of the server. */
function refusalIn(error: unknown): Problem | undefined {
  const problem = error instanceof Problem ? error : problemOfDatabase(error)
  return problem && problem.status < 500 ? problem : undefined
}

/** Operations that are tried one by one rather than in halves. */
const few = 8

/** The parts in which operations are tried of which at least one was refused. */
function partsOf([start, end]: Range): Range[] {
  const middle = Math.ceil((start + end) / 2)
  if (end - start > few)
    return [
      [start, middle],
      [middle, end]
    ]
  return Array.from({ length: end - start }, (_, i) => [start + i, start + i + 1])
}

/** Carries out the operations of a batch in the transaction of `ctx`, once. */
export class BatchRun {
  readonly #items: Item[]
  readonly #options: RunOptions
  /** The IDs of the records of operations, by their places; missing for those that failed. */
  readonly #ids = new Map<number, number>()
  /** The versions that records have, by `recordKey`: those that are named, or were written. */
  #versions = new Map<string, number>()
  readonly #results: BatchResult[] = []
  readonly #problems = new Map<number, Problem>()
  /** What is being carried out. */
  #running: Range = [0, 0]

  constructor(items: Item[], options: RunOptions) {
    this.#items = items
    this.#options = options
  }

  /** Carries out each operation that can be. */
  async run(ctx: Context): Promise<Results> {
    this.#versions = await holdAll(ctx, this.#items)
    await this.#eachOf(ctx, [0, this.#items.length])
    const operation_id = ctx.operation_id ?? null
    return { results: this.#results, problems: this.#problems, operation_id }
  }

  /**
   * Where something is refused, what was done before is done again without it: that is less work
   * than to be able to undo each operation.
   */
  async #eachOf(ctx: Context, [start, end]: Range): Promise<void> {
    for (let at = start; at < end;) {
      const refused = await this.#refusedOf(ctx, [at, end])
      if (!refused) return
      const [first, last] = refused.range
      await this.#eachOf(ctx, [at, first])
      if (last - first === 1) this.#fail(this.#items[first]!, refused.problem)
      else for (const part of partsOf(refused.range)) await this.#eachOf(ctx, part)
      at = last
    }
  }

  /** Carries out all of a range, or nothing and returns what was refused, and why. */
  async #refusedOf(ctx: Context, range: Range): Promise<Refused | undefined> {
    const versions = new Map(this.#versions)
    try {
      await ctx.attempt(async ctx => await this.#allOf(ctx, range))
      return undefined
    } catch (error) {
      const problem = refusalIn(error)
      if (!problem) throw error
      for (const { index } of this.#results.splice(range[0])) {
        this.#ids.delete(index)
        this.#problems.delete(index)
      }
      this.#versions = versions
      return { range: this.#running, problem }
    }
  }

  async #allOf(ctx: Context, [start, end]: Range): Promise<void> {
    for (let at = start; at < end;) {
      const run = runFrom(ctx, this.#items, [at, end], item => this.#idIn(item))
      if (run.length > 1) await this.#together(ctx, run)
      else await this.#one(ctx, run[0])
      at += run.length
    }
  }

  async #one(ctx: Context, item: Item): Promise<void> {
    const input = this.#inputOf(item)
    this.#running = [item.index, item.index + 1]
    if (input instanceof Problem) this.#fail(item, input)
    else this.#succeed(ctx, item, await item.kind.run(item.served, ctx, input), input)
  }

  /** Carries out alike operations in one statement, and those alone that it could not. */
  async #together(ctx: Context, run: [Item, ...Item[]]): Promise<void> {
    const { kind, served, index } = run[0]
    const inputs = run.map(item => this.#inputOf(item))
    const valid = inputs.filter((input): input is Input => !(input instanceof Problem))
    this.#running = [index, index + run.length]
    const { representation } = this.#options
    const done =
      valid.length > 0 ? await kind.together!.run(served, ctx, valid, representation) : []
    const doneOf = new Map(valid.map((input, i) => [input, done[i]]))
    for (const [i, item] of run.entries()) {
      const input = inputs[i]!
      const one = input instanceof Problem ? undefined : doneOf.get(input)
      if (one) this.#succeed(ctx, item, one, input as Input)
      else await this.#alone(ctx, item)
    }
  }

  async #alone(ctx: Context, item: Item): Promise<void> {
    const running = this.#running
    try {
      await ctx.attempt(async ctx => await this.#one(ctx, item))
    } catch (error) {
      const problem = refusalIn(error)
      if (!problem) throw error
      this.#fail(item, problem)
    }
    this.#running = running
  }

  /** What an operation is carried out with, or why it cannot be: 424, 400. */
  #inputOf(item: Item): Input | Problem {
    const { operation, dependencies } = item
    const failed = [...dependencies].find(([, at]) => !this.#ids.has(at))
    if (failed) return failedDependency(`The operation ${failed[0]} failed.`)
    const idOf = this.#idOf(item)
    try {
      const { if_match, match } = operation
      return {
        operation: { ...operation, ...(match && { match: withIds(match, idOf) as object }) },
        id: this.#idIn(item)!,
        body: bodyOf(item, this.#options.validate, idOf),
        versions: if_match === undefined ? undefined : [if_match],
        lenient: this.#options.lenient
      }
    } catch (error) {
      if (error instanceof Problem) return error
      throw error
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
    const key = recordKey(served.resource, id)
    const isSame = row?.version === this.#versions.get(key)
    this.#ids.set(index, id)
    const { representation } = this.#options
    this.#results.push({
      index,
      ...(operation.ref !== undefined && { ref: operation.ref }),
      status,
      id,
      ...(row && { version: row.version }),
      outcome: outcome ?? (isSame ? 'unchanged' : (kind.changes ?? 'updated')),
      ...(row && representation && { record: shownOf(ctx, served.resource, row) })
    })
    if (row) this.#versions.set(key, row.version)
  }

  #fail({ index, operation }: Item, problem: Problem): void {
    this.#problems.set(index, problem)
    this.#results.push({
      index,
      ...(operation.ref !== undefined && { ref: operation.ref }),
      status: problem.status
    })
  }
}
