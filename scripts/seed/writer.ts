import { Context } from '../../src/core/access/context.ts'
import type { ListQuery, Page } from '../../src/core/records/list.ts'
import type { Progress } from './progress.ts'

/** Rows in a statement: enough to be fast, few enough for its limit of five seconds. */
const batch = 1000

interface BulkService<Row> {
  list: (ctx: Context, query: ListQuery) => Promise<Page<object>>
  stream: (ctx: Context, query: ListQuery) => AsyncIterable<object[]>
  createMany: (ctx: Context, rows: Row[]) => Promise<number>
}

interface UpdateService<Changes> {
  updateMany: (ctx: Context, changes: (Changes & { id: number })[]) => Promise<number[]>
}

/** Writes records in batches, each in the name of another user. */
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
  as(n: number): Context {
    const user_id = this.#users[n % this.#users.length]!
    return new Context(this.#ctx.services, { ...this.#ctx.principal, user_id })
  }

  /** Creates `count` records and returns `fields` of them, in order of age. */
  async create<Row>(
    what: string,
    count: number,
    service: BulkService<Row>,
    fields: readonly string[],
    generate: (progress: number) => Row
  ): Promise<object[]> {
    const newest = (await service.list(this.#ctx, { limit: 1, fields: ['id'] })).data[0]
    let written: Promise<unknown> = Promise.resolve()
    for (let first = 0; first < count; first += batch) {
      const rows = Array.from({ length: Math.min(batch, count - first) }, (_, i) =>
        generate((first + i + 0.5) / count)
      )
      await written // the next rows are generated while Postgres stores these
      written = service.createMany(this.as(first / batch), rows)
      this.#progress.advance(what, rows.length)
    }
    await written
    const created: object[] = []
    const after = (newest as { id: number } | undefined)?.id ?? 0
    for await (const rows of service.stream(this.#ctx, {
      fields,
      filters: [{ field: 'id', operator: 'gt', value: after }],
      sort: [{ field: 'id', descending: false }]
    }))
      created.push(...rows)
    return created
  }

  /** Makes the first transition of each record, then the second, and so on. */
  async transition<Changes extends object>(
    service: UpdateService<Changes>,
    records: { id: number; transitions: Changes[] }[]
  ): Promise<void> {
    const longest = Math.max(0, ...records.map(({ transitions }) => transitions.length))
    for (let step = 0; step < longest; step++) {
      const changes = records.flatMap(({ id, transitions }) =>
        transitions.slice(step, step + 1).map(fields => ({ ...fields, id }))
      )
      const fieldsOf = (change: object) => Object.keys(change).join()
      for (const alike of Map.groupBy(changes, fieldsOf).values())
        for (let first = 0; first < alike.length; first += batch)
          await service.updateMany(this.as(first / batch), alike.slice(first, first + batch))
    }
  }
}
