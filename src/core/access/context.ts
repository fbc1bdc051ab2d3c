import type { Cache } from '../cache/cache.ts'
import type { Cursors } from '../records/cursor.ts'
import { dense, soon, type Connection, type Database } from '../db/database.ts'
import { patience, within } from '../db/timeouts.ts'
import { allows, type Role } from './permissions.ts'
import { forbidden } from '../errors.ts'
import type { Passwords } from './passwords.ts'

/** Who asks: taken from the credential, checked, and never from the request. `user_id` is null for the system itself. */
export interface Principal {
  organization_id: number
  user_id: number | null
  role: Role
  session_id: number | null
}

/** What there is once in a process and every request works with. */
export interface Services {
  database: Database
  cache: Cache
  cursors: Cursors
  passwords: Passwords
}

/** An open transaction, and the cache keys to drop after it. */
interface Transaction {
  connection: Connection
  changed: Set<string>
}

/** Who asks, for which organisation, through which connection: the first argument of every service function. */
export class Context {
  readonly services: Services
  readonly principal: Principal
  readonly #transaction: Transaction | undefined

  constructor(services: Services, principal: Principal, transaction?: Transaction) {
    this.services = services
    this.principal = principal
    this.#transaction = transaction
  }

  get organization_id(): number {
    return this.principal.organization_id
  }
  get user_id(): number | null {
    return this.principal.user_id
  }

  /** Errors: 403 without the permission (`resource:action`). */
  require(permission: string): void {
    if (!allows(this.principal.role, permission)) throw forbidden(permission)
  }

  /** For short reads by key. */
  get point(): Connection {
    return this.#transaction?.connection ?? this.services.database.point
  }

  /** For everything else. */
  get connection(): Connection {
    return this.#transaction?.connection ?? this.services.database.pool
  }

  /** Runs `work` in a transaction, joining the one that is open if there is one. */
  async transaction<Result>(work: (ctx: Context) => Promise<Result>): Promise<Result> {
    if (this.#transaction) return await work(this)
    const changed = new Set<string>()
    return await this.#forgetting(
      () => [...changed],
      this.services.database.pool.begin(
        async connection =>
          await work(new Context(this.services, this.principal, { connection, changed }))
      ) as Promise<Result>,
      patience.transaction
    )
  }

  /** The result of a write that is under way. What it changed leaves the cache before: now, or after the commit of a transaction. */
  async changing<Result>(keys: string[], write: PromiseLike<Result>): Promise<Result> {
    if (!this.#transaction) return await this.#forgetting(() => keys, write, patience.statement)
    for (const key of keys) this.#transaction.changed.add(key)
    return await soon(write)
  }

  /**
   * Waits for a write and then for the cache to forget what it changed, whatever came of it: a connection lost at the commit
   * does not tell whether there was one. A write that is given up may still land, and is forgotten once more when it has.
   */
  async #forgetting<Result>(
    keys: () => string[],
    write: PromiseLike<Result>,
    milliseconds: number
  ): Promise<Result> {
    const forget = async () => {
      if (keys().length > 0) await this.services.cache.invalidate(keys())
    }
    const landed = (async () => {
      try {
        return dense(await write)
      } finally {
        await forget()
      }
    })()
    try {
      return await within(milliseconds, landed)
    } catch (error) {
      await forget()
      throw error
    }
  }

  /** Drops a key from the cache: now, or after the commit if a transaction is open. */
  async changed(key: string): Promise<void> {
    if (this.#transaction) this.#transaction.changed.add(key)
    else await this.services.cache.invalidate([key])
  }
}
