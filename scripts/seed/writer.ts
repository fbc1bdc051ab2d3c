import { Context } from '../../src/core/access/context.ts'
import type { ListQuery, Page } from '../../src/core/records/list.ts'
import type { Progress } from './progress.ts'

/** Rows per statement: fast, and well within the statement timeout of five seconds. */
const batchSize = 1000

interface BulkService<Row> {
  list: (ctx: Context, query: ListQuery) => Promise<Page<object>>
  stream: (ctx: Context, query: ListQuery) => AsyncIterable<object[]>
  createMany: (ctx: Context, rows: Row[]) => Promise<number>
}

interface UpdateService<Changes> {
  updateMany: (ctx: Context, changes: (Changes & { id: number })[]) => Promise<number[]>
}

/** Writes records in batches, on behalf of one user after another. */
export class Writer {
  readonly #ctx: Context
  readonly #users: number[]
  readonly #progress: Progress

  constructor(ctx: Context, users: number[], progress: Progress) {
    this.#ctx = ctx
    this.#users = users
    this.#progress = progress
  }

  /** The context of the n-th user. */
  contextOf(n: number): Context {
    const user_id = this.#users[n % this.#users.length]!
    return new Context(this.#ctx.services, { ...this.#ctx.principal, user_id })
  }

  /** Creates `count` records and returns their `fields`, in order of age. */
  async create<Row>(
    resource: string,
    count: number,
    service: BulkService<Row>,
    fields: readonly string[],
    generate: (recency: number) => Row
  ): Promise<object[]> {
    const newest = (await service.list(this.#ctx, { limit: 1, fields: ['id'] })).data[0]
    let written: Promise<unknown> = Promise.resolve()
    for (let first = 0; first < count; first += batchSize) {
      const rows = Array.from({ length: Math.min(batchSize, count - first) }, (_, i) =>
        generate((first + i + 0.5) / count)
      )
      await written // the next rows are generated while Postgres stores these
      written = service.createMany(this.contextOf(first / batchSize), rows)
      this.#progress.advance(resource, rows.length)
    }
    await written
    const created: ListQuery = {
      fields,
      filters: [
        { field: 'id', operator: 'gt', value: (newest as { id: number } | undefined)?.id ?? 0 }
      ],
      sort: [{ field: 'id', descending: false }]
    }
    const records: object[] = []
    for await (const rows of service.stream(this.#ctx, created)) records.push(...rows)
    return records
  }

  /** Applies the first transition of each record, then the second, and so on. */
  async applyTransitions<Changes extends object>(
    service: UpdateService<Changes>,
    records: { id: number; transitions: Changes[] }[]
  ): Promise<void> {
    const longest = Math.max(0, ...records.map(({ transitions }) => transitions.length))
    for (let step = 0; step < longest; step++) {
      const changes = records.flatMap(({ id, transitions }) =>
        transitions.slice(step, step + 1).map(fields => ({ ...fields, id }))
      )
      // a statement changes the same fields of all its rows
      const fieldsOf = (change: object) => Object.keys(change).join()
      for (const group of Map.groupBy(changes, fieldsOf).values())
        await this.#update(service, group)
    }
  }

  async #update<Changes>(
    service: UpdateService<Changes>,
    changes: (Changes & { id: number })[]
  ): Promise<void> {
    for (let first = 0; first < changes.length; first += batchSize) {
      const ctx = this.contextOf(first / batchSize)
      await service.updateMany(ctx, changes.slice(first, first + batchSize))
    }
  }
}
