import { LRUCache } from 'lru-cache'
import type postgres from 'postgres'
import type { Turns } from './turns.ts'

/** Milliseconds that a statement of a list may take before it counts as slow. */
export const fastStatement = 250
/** Milliseconds for which an organization counts as slow after such a statement. */
const slowTime = 10_000

const queryCanceled = '57014'

/**
 * Reads that can be slow. Most are not, and are pipelined on connections for all organizations,
 * which costs half as much as one at a time. One that takes long there is canceled, and runs again
 * on other connections in a turn of its organization, as do all others of it for a while: at most a
 * few at a time, whatever it sends.
 */
export class ListReads {
  readonly #fast: postgres.Sql
  readonly #slow: postgres.Sql
  readonly #turns: { fast: Turns; slow: Turns }
  readonly #slowOrganizations = new LRUCache<number, true>({ max: 10_000, ttl: slowTime })

  constructor(fast: postgres.Sql, slow: postgres.Sql, turns: { fast: Turns; slow: Turns }) {
    this.#fast = fast
    this.#slow = slow
    this.#turns = turns
  }

  /** Runs `read`, maybe twice. Errors: 429 when too many of the organization wait; its own. */
  async run<T extends object>(organization: number, read: Read<T>): Promise<T> {
    const isSlow = () => this.#slowOrganizations.has(organization)
    if (isSlow()) return await this.runSlow(organization, read)
    const result = await this.#turns.fast.run(organization, async () =>
      isSlow() ? undefined : await this.#tryFast(organization, read)
    )
    return result ?? (await this.runSlow(organization, read))
  }

  /** The result of `read`; undefined if it was canceled. */
  async #tryFast<T>(organization: number, read: Read<T>): Promise<T | undefined> {
    try {
      return await read(this.#fast)
    } catch (error) {
      if ((error as { code?: string }).code !== queryCanceled) throw error
      this.markSlow(organization)
      return undefined
    }
  }

  /** Runs `read`, which is known to be slow. Errors: as `run`. */
  async runSlow<T>(organization: number, read: Read<T>): Promise<T> {
    return await this.#turns.slow.run(organization, () => read(this.#slow))
  }

  /** Lets the reads of an organization take turns for a while. */
  markSlow(organization: number): void {
    this.#slowOrganizations.set(organization, true)
  }
}

type Read<T> = (connection: postgres.Sql) => PromiseLike<T>
