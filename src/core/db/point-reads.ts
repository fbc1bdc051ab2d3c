import type postgres from 'postgres'
import { unavailable } from '../errors.ts'
import { Turns } from './turns.ts'

const lockNotAvailable = '55P03'

/**
 * Short reads by key on the pipelined connection. A read that meets a lock of its whole table, such
 * as that of an `ALTER TABLE`, would delay all reads behind it: it gives up there at once, and it
 * and those of its kind wait on the pool, a few at a time, until the table can be read again.
 */
export class PointReads {
  readonly #point: postgres.Sql
  readonly #pool: postgres.Sql
  /** Texts of statements whose table was locked when one was last sent. */
  readonly #locked = new Set<string>()
  readonly #turns = new Turns({
    total: 2,
    perKey: 1,
    queue: 50,
    wait: 2_000,
    refusal: seconds => unavailable('The data is locked for maintenance. Retry later.', seconds)
  })

  constructor(point: postgres.Sql, pool: postgres.Sql) {
    this.#point = point
    this.#pool = pool
  }

  /** Runs `read`, which sends the statement `text` on the connection given. Errors: its own. */
  async run<T>(text: string, read: (connection: postgres.Sql) => PromiseLike<T>): Promise<T> {
    if (!this.#locked.has(text)) {
      try {
        return await read(this.#point)
      } catch (error) {
        if ((error as { code?: string }).code !== lockNotAvailable) throw error
        this.#locked.add(text)
      }
    }
    return await this.#turns.run(text, async () => {
      const result = await read(this.#pool)
      this.#locked.delete(text)
      return result
    })
  }
}
