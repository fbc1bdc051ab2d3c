import type { SQL } from 'drizzle-orm'
import type { Connection, TransactionSql } from '../db/connections.ts'
import { sql } from '../db/drizzle.ts'
import {
  assertLockOrder,
  compareLocks,
  LockNeeded,
  maxDeadlocks,
  parseLock,
  type Lock
} from '../db/locks.ts'
import { actor, organization, rowsOf, send, type Runnable, type Values } from '../db/sql.ts'
import { withTimeout } from '../db/timeouts.ts'
import { withoutHoles } from '../db/workarounds.ts'
import { invalidating } from '../cache/invalidating.ts'
import { forbidden, isDeadlock } from '../errors.ts'
import type { Services } from '../services.ts'
import type { Origin, Principal } from './principal.ts'
import { Access } from './permissions.ts'
import { Reached } from './reach.ts'
import type { ContextOptions, Transaction } from './context-options.ts'

/** What is invalidated when it changes what the users of an organization may do. */
export const accessKey = (organization_id: number) => `${organization_id}/access`

/**
 * Who makes the request, for which organization, and on which connection: the first argument of
 * every service function.
 */
export class Context {
  readonly services: Services
  readonly principal: Principal
  readonly origin: Origin | undefined
  /** The operation that its writes are a part of; undefined: none. */
  readonly operation_id: number | undefined
  /** Whether the caller has seen what it does, or only wants to see it. */
  readonly isPlanned: boolean
  readonly #transaction: Transaction | undefined
  readonly #reached: Reached

  constructor(services: Services, principal: Principal, options: ContextOptions = {}) {
    const { origin, transaction, operation_id, isPlanned = false } = options
    const { reached = Reached.by(principal.access) } = options
    this.services = services
    this.principal = principal
    this.origin = origin
    this.isPlanned = isPlanned
    this.operation_id = operation_id
    this.#transaction = transaction
    this.#reached = reached
  }

  /** A context of the system itself, which may do everything. */
  static system(
    services: Services,
    organization_id: number,
    user_id: number | null = null,
    origin?: Origin
  ): Context {
    const principal = {
      organization_id,
      user_id,
      access: Access.unlimited,
      team_ids: [],
      colleague_ids: [],
      session_id: null,
      time_zone: 'UTC'
    }
    return new Context(services, principal, { origin })
  }

  /** The same, with something of it replaced. */
  #with(options: ContextOptions, principal = this.principal): Context {
    const { origin, operation_id, isPlanned } = this
    const own = { origin, operation_id, isPlanned, transaction: this.#transaction }
    return new Context(this.services, principal, { ...own, ...options })
  }

  /**
   * The same, with the rights of the system: for what follows from something that the caller was
   * allowed to do, and never for what is shown.
   */
  get unlimited(): Context {
    return this.#with({}, { ...this.principal, access: Access.unlimited })
  }

  /** The same, for what the caller was shown before, or is only shown. */
  get planned(): Context {
    return this.#with({ isPlanned: true, reached: this.#reached })
  }

  /** The same, for reading what is exported: only what the caller may export is there. */
  get exporting(): Context {
    return this.#with({ reached: Reached.by(this.principal.access, 'export') })
  }

  /** The same, as a part of an operation that was begun before; null: of none. */
  continuing(operation_id: number | null): Context {
    return this.#with({ operation_id: operation_id ?? undefined, reached: this.#reached })
  }

  get organization_id(): number {
    return this.principal.organization_id
  }

  get user_id(): number | null {
    return this.principal.user_id
  }

  /** Whether the caller has a permission (`resource:action`). */
  can(permission: string): boolean {
    return this.principal.access.can(permission)
  }

  /** The fields of a resource, by its path, that the caller does not see. */
  hiddenFields(path: string): ReadonlySet<string> {
    return this.#reached.hiddenFields(path)
  }

  /** Errors: 403 without the permission. */
  require(permission: string): void {
    if (!this.can(permission)) throw forbidden(permission)
  }

  /** The connection of the transaction that the context is in, if any. Errors: after its end. */
  get #own(): Connection | undefined {
    if (this.#transaction?.end.isReached) throw new Error('the transaction has ended')
    return this.#transaction?.connection
  }

  #values(values: Values): Values {
    const { organization_id: organization, user_id: actor } = this.principal
    const { team_ids: teams, colleague_ids: colleagues, time_zone } = this.principal
    return { organization, actor, teams, colleagues, time_zone, ...values }
  }

  /** The origin, the credential and the operation, as events have them. */
  #noted(): string | null {
    const { origin, operation_id } = this
    if (!origin) return operation_id === undefined ? null : JSON.stringify({ operation_id })
    const { request_id, address } = origin
    const { session_id, token } = this.principal
    const api_token_id = token?.id ?? null
    return JSON.stringify({ request_id, address, session_id, api_token_id, operation_id })
  }

  /** Runs a query on a connection that was waited for, if that was necessary. */
  async #run<Row>(connection: Connection, query: Runnable<Row>, values: Values): Promise<Row[]> {
    const all = this.#values(values)
    return await rowsOf(this.services.database, connection, query, all, this.#reached)
  }

  /**
   * The rows of a query that can be slow; outside of a transaction it may run twice (see
   * `Lanes`). The placeholders `organization` and `actor` are filled in, `values` are those of
   * the others. Errors: 503 when the database does not respond in time, 429 when too many slow
   * queries of the organization wait.
   */
  async rows<Row>(query: Runnable<Row>, values: Values = {}): Promise<Row[]> {
    if (this.#own) return await this.#run(this.#own, query, values)
    const { listReads } = this.services.database
    return await listReads.run(
      this.organization_id,
      async connection => await this.#run(connection, query, values)
    )
  }

  /**
   * The rows of a query that reads many records to return few: a count or a report. It has a
   * shorter time limit than others. Errors: as `rows`.
   */
  async aggregate<Row>(query: Runnable<Row>, values: Values = {}): Promise<Row[]> {
    if (this.#transaction) return await this.rows(query, values)
    const { listReads, timeouts } = this.services.database
    const limit = `set local statement_timeout = ${timeouts.aggregate}`
    return await listReads.runSlow(this.organization_id, async slow => {
      const committed = slow.begin(async connection => {
        const limited = connection.unsafe(limit).execute() // sent now, not when awaited
        const [, rows] = await Promise.all([limited, this.#run(connection, query, values)])
        return rows
      }) as Promise<Row[]>
      return await withTimeout(timeouts.answer, committed)
    })
  }

  /**
   * Waits until the organization may stream one more list; returns what ends that. Errors: 429 when
   * it streams too many.
   */
  async beginExport(): Promise<() => void> {
    return await this.services.database.turns.exports.begin(this.organization_id)
  }

  /** The first row of a query, or undefined. Errors: as `rows`. */
  async one<Row>(query: Runnable<Row>, values: Values = {}): Promise<Row | undefined> {
    return (await this.rows(query, values))[0]
  }

  /** The rows of a short read by key, on the pipelined connection. Errors: as `rows`. */
  async read<Row>(query: Runnable<Row>, values: Values = {}): Promise<Row[]> {
    return await this.#run(this.#own ?? this.services.database.point, query, values)
  }

  /** The number of rows that `source`, such as `from … where …`, selects. Errors: as `rows`. */
  async count(source: SQL): Promise<number> {
    const found = await this.aggregate<{ count: number }>(sql`select count(*) as count ${source}`)
    return found[0]!.count
  }

  /**
   * The rows of a write. The records it changes leave the cache before the result is returned:
   * now, or after the commit of an open transaction. Errors: as `rows`; 429 when too many writes of
   * the organization wait.
   */
  async write<Row>(keys: string[], query: Runnable<Row>, values: Values = {}): Promise<Row[]> {
    const all = this.#values({ ...values, origin: this.#noted() })
    const sendOn = (connection: Connection) => send(connection, query, all, this.#reached)
    const { singleWrites, timeouts } = this.services.database
    const own = this.#own
    if (!this.#transaction || !own) {
      const written = singleWrites.run(this.organization_id, sendOn)
      const { cache, sequencer } = this.services
      const rows = await invalidating(cache, () => keys, written, timeouts.answer)
      sequencer.wake()
      return rows
    }
    for (const key of keys) this.#transaction.changed.add(key)
    return withoutHoles(await withTimeout(timeouts.answer, sendOn(own)))
  }

  /**
   * Sends a write of no record together with the commit of the open transaction: to be called last
   * in it, which fails if the write does.
   */
  writeAtCommit(query: Runnable<object>, values: Values): void {
    const written = this.write([], query, values)
    written.catch(() => {}) // the transaction reports it
    this.#transaction!.atCommit.push(written)
  }

  /** Drops a key from the cache: now, or after the commit if a transaction is open. */
  async invalidate(key: string): Promise<void> {
    if (this.#transaction) this.#transaction.changed.add(key)
    else await this.services.cache.invalidate([key])
  }

  /**
   * Has it looked up again what the users of the organization may do, in all processes: now, or
   * after the commit if a transaction is open.
   */
  async forgetAccess(): Promise<void> {
    await this.invalidate(accessKey(this.organization_id))
  }

  /** Runs `work` in a transaction, joining the open one if there is one. */
  async transaction<Result>(work: (ctx: Context) => Promise<Result>): Promise<Result> {
    if (this.#transaction) return await work(this)
    const { pool, timeouts, turns } = this.services.database
    const end = { isReached: false }
    const open: Omit<Transaction, 'connection'> = {
      changed: new Set(),
      locks: [],
      atCommit: [],
      end
    }
    const committed = turns.transactions.run(this.organization_id, async () => {
      const result = await pool.begin(async connection => {
        try {
          return await work(this.#within({ connection, ...open }))
        } finally {
          end.isReached = true
        }
      })
      // a commit after a failure is a rollback, and no error
      await Promise.all(open.atCommit)
      return result as Result
    })
    const { cache, sequencer } = this.services
    try {
      const keys = () => [...open.changed]
      const result = await invalidating(cache, keys, committed, timeouts.transaction)
      if (open.changed.size > 0) sequencer.wake()
      return result
    } finally {
      end.isReached = true // also after a timeout: what is not committed yet is undone
    }
  }

  /**
   * Runs `work` in a transaction, as one operation of this kind (see `operations`): all that it
   * writes can be undone together. Within an operation, it is a part of that one. `undo_of`: the
   * operation that it undoes.
   */
  async operation<Result>(
    kind: string,
    work: (ctx: Context) => Promise<Result>,
    undo_of: number | null = null
  ): Promise<Result> {
    return await this.transaction(async ctx => {
      if (ctx.operation_id !== undefined) {
        if (undo_of !== null) throw new Error('an undo is an operation of its own')
        return await work(ctx)
      }
      const { session_id, token } = ctx.principal
      const [operation] = await ctx.write<{ id: number }>(
        [],
        sql`insert into operations
          (organization_id, kind, created_by, session_id, api_token_id, request_id, undo_of)
        values (${organization}, ${kind}, ${actor}, ${session_id}::bigint,
          ${token?.id ?? null}::bigint, ${ctx.origin?.request_id ?? null}::text, ${undo_of}::bigint)
        returning id`
      )
      return await work(ctx.#with({ operation_id: operation!.id, reached: ctx.#reached }))
    })
  }

  #within(transaction: Transaction): Context {
    return this.#with({ transaction, reached: this.#reached })
  }

  /**
   * Runs `work` in a transaction that holds these advisory locks of the organization until it
   * ends. Waits for them in the declared order, whatever the order given.
   */
  async withLocks<Result>(locks: Lock[], work: (ctx: Context) => Promise<Result>): Promise<Result> {
    return await this.transaction(async ctx => {
      for (const lock of locks.toSorted(compareLocks)) await ctx.#lock(lock)
      return await work(ctx)
    })
  }

  /**
   * Runs `work` in a part of the transaction that alone is undone when it fails. Errors: those of
   * `work`.
   */
  async attempt<Result>(work: (ctx: Context) => Promise<Result>): Promise<Result> {
    return await this.transaction(async ctx => {
      const open = ctx.#transaction!
      const connection = ctx.#own as TransactionSql
      const locks = [...open.locks]
      const result = await connection.savepoint(
        async connection => await work(ctx.#within({ ...open, connection, locks }))
      )
      // those that it took end with it only if it fails
      open.locks.splice(0, open.locks.length, ...locks)
      return result as Result
    })
  }

  /**
   * Runs `work`, a series of changes that know nothing of each other, in a transaction. Each takes
   * the locks it needs without waiting, since an earlier one may hold what comes after them; if one
   * is not free, everything is undone, and done again with all of these locks, in the declared
   * order. So it is, a few times, after a deadlock. Errors: those of `work`.
   */
  async series<Result>(work: (ctx: Context) => Promise<Result>): Promise<Result> {
    if (this.#transaction?.isSeries) return await work(this)
    return await this.transaction(async ctx => {
      let known: Lock[] = []
      for (let deadlocks = 0; ;) {
        try {
          return await ctx.attempt(
            async ctx => await ctx.withLocks(known, async ctx => await work(ctx.#inSeries()))
          )
        } catch (error) {
          if (error instanceof LockNeeded) known = error.locks
          else if (!isDeadlock(error) || ++deadlocks > maxDeadlocks) throw error
        }
      }
    })
  }

  #inSeries(): Context {
    return this.#within({ ...this.#transaction!, isSeries: true })
  }

  async #lock(lock: Lock): Promise<void> {
    const { locks, isSeries = false } = this.#transaction!
    const { name, shared, key } = parseLock(lock)
    if (locks.includes(lock) || (shared && locks.includes(name))) return
    if (this.services.database.strict_locks && !isSeries) assertLockOrder(locks, lock)
    const mode = sql.raw(shared ? '_shared' : '')
    const take = sql`pg_${sql.raw(isSeries ? 'try_' : '')}advisory_xact_lock${mode}`
    const hashed = key === '' ? name : `${name}/${key}`
    const taken = await this.one<{ taken: unknown }>(
      sql`select ${take}(hashtextextended(${hashed}, ${this.organization_id})) as taken`
    )
    // a series holds rows already, which come after all of these locks
    if (taken!.taken === false) throw new LockNeeded(locks, lock)
    locks.push(lock)
  }
}
