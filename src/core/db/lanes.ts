import { LRUCache } from 'lru-cache'
import type postgres from 'postgres'
import type { Turns } from './turns.ts'

/** How statements of one kind are kept from waiting for each other. */
export interface LaneOptions {
  /** Connections on which statements are pipelined, and which soon give up a slow one. */
  fast: postgres.Sql
  /** Connections on which one runs at a time. */
  slow: postgres.Sql
  turns: { fast: Turns; slow: Turns }
  /** The code of Postgres for a statement that was given up. */
  givenUp: string
  /** Milliseconds for which an organization counts as slow after one. */
  slowTime: number
}

/**
 * Statements that can be slow. Most are not, and are pipelined on connections for all
 * organizations, which costs half as much as one at a time. One that takes long there is given up,
 * and runs again on other connections in a turn of its organization, as do all others of it for a
 * while: at most a few at a time, whatever it sends.
 */
export class Lanes {
  readonly #options: LaneOptions
  readonly #slowOrganizations: LRUCache<number, true>

  constructor(options: LaneOptions) {
    this.#options = options
    this.#slowOrganizations = new LRUCache({ max: 10_000, ttl: options.slowTime })
  }

  /**
   * Runs `work`, one statement, maybe twice. Errors: 429 when too many of the organization wait;
   * its own.
   */
  async run<T extends object>(organization: number, work: Work<T>): Promise<T> {
    const isSlow = () => this.#slowOrganizations.has(organization)
    if (isSlow()) return await this.runSlow(organization, work)
    const result = await this.#options.turns.fast.run(organization, async () =>
      isSlow() ? undefined : await this.#tryFast(organization, work)
    )
    return result ?? (await this.runSlow(organization, work))
  }

  /** The result of `work`; undefined if it was given up. */
  async #tryFast<T>(organization: number, work: Work<T>): Promise<T | undefined> {
    const { fast, givenUp } = this.#options
    try {
      return await work(fast)
    } catch (error) {
      if ((error as { code?: string }).code !== givenUp) throw error
      this.markSlow(organization)
      return undefined
    }
  }

  /** Runs `work`, which is known to be slow. Errors: as `run`. */
  async runSlow<T>(organization: number, work: Work<T>): Promise<T> {
    const { slow, turns } = this.#options
    return await turns.slow.run(organization, () => work(slow))
  }

  /** Lets the statements of an organization take turns for a while. */
  markSlow(organization: number): void {
    this.#slowOrganizations.set(organization, true)
  }
}

type Work<T> = (connection: postgres.Sql) => PromiseLike<T>
