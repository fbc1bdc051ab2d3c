import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../db/connections.ts'
import { sql } from '../db/drizzle.ts'
import { listenTo, type Listener } from '../db/listener.ts'
import { send } from '../db/sql.ts'
import { withTimeout } from '../db/timeouts.ts'

/** Events that get their positions at a time, so that a large import is no long statement. */
const batch = 10_000
/** Milliseconds from a write to the run that it causes: what is written meanwhile shares it. */
const delay = 5
/** Milliseconds between runs for what nobody told of: writes in psql, or of a process that died. */
const interval = 1_000

/**
 * Gives the events of each organization their positions in its feed (`chain_events()`) soon after
 * they are committed, and tells those who wait for them. Each process has one; they take turns.
 */
export class Sequencer {
  readonly #database: Database
  readonly #subscriptions = new Map<number, Set<Subscription>>()
  readonly #listeners = new Set<(organization_id: number) => void>()
  readonly #stopping = new AbortController()
  #run: Promise<void> | undefined
  #next: Promise<void> | undefined
  #listener: Listener | undefined
  #timer: NodeJS.Timeout | undefined
  #isListening = false
  #isWoken = false
  #told = 0

  constructor(database: Database) {
    this.#database = database
  }

  /** Aborts when the process stops. */
  get stopping(): AbortSignal {
    return this.#stopping.signal
  }

  /**
   * Gives positions to all events that were committed before the call. Calls at the same time share
   * a run. Errors: those of postgres.js.
   */
  async catchUp(): Promise<void> {
    // a run that has begun may not see what was committed since
    this.#next ??= this.#after(this.#run)
    await this.#next
  }

  /**
   * The same, but for no longer than a statement may take to be answered, and without errors: what
   * has no position yet gets it later.
   */
  async tryCatchUp(): Promise<void> {
    await withTimeout(this.#database.timeouts.answer, this.catchUp()).catch(() => {})
  }

  async #after(earlier: Promise<void> | undefined): Promise<void> {
    await earlier?.catch(() => {})
    this.#run = this.#next
    this.#next = undefined
    const query = sql`select chain_events(${batch}::bigint) as added`
    let added = batch
    while (added === batch) {
      const [row] = await send<{ added: number }>(this.#database.sequence, query)
      added = row!.added
    }
  }

  /** Has events get their positions soon. To be called after a commit. */
  wake(): void {
    if (!this.#timer || this.#isWoken) return
    this.#isWoken = true
    setTimeout(() => {
      this.#isWoken = false
      this.#catchUpSoon()
    }, delay)
  }

  /** What fails now is done by the next run. */
  #catchUpSoon(): void {
    if (!this.stopping.aborted) this.catchUp().catch(() => {})
  }

  /** Works in the background until it is stopped. `database_url`: where to listen. */
  start(database_url: string): void {
    this.#timer = setInterval(() => {
      this.#catchUpSoon()
      if (!this.#isListening) this.#tellAll()
    }, interval)
    this.#listener = listenTo('events', database_url, {
      hear: organization_id => {
        this.#tell(Number(organization_id))
      },
      lost: () => {
        this.#isListening = false
      },
      regained: () => {
        this.#isListening = true
        this.#tellAll()
      }
    })
  }

  /** Does not wait for a run, which may take long: it ends with the connections. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#stopping.abort()
    await this.#listener?.stop()
  }

  /** Subscribes to the events of an organization: from now on, so before they are read. */
  subscribe(organization_id: number): Subscription {
    const subscriptions = this.#subscriptions.get(organization_id) ?? new Set()
    this.#subscriptions.set(organization_id, subscriptions)
    const subscription = new Subscription(++this.#told, () => {
      subscriptions.delete(subscription)
      if (subscriptions.size === 0) this.#subscriptions.delete(organization_id)
    })
    subscriptions.add(subscription)
    return subscription
  }

  /**
   * Calls a listener with each organization that has new events; it may miss some. Returns what
   * ends that.
   */
  onTold(listener: (organization_id: number) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #tell(organization_id: number): void {
    for (const listener of this.#listeners) listener(organization_id)
    const subscriptions = this.#subscriptions.get(organization_id)
    if (!subscriptions) return
    this.#told++
    for (const subscription of subscriptions) subscription.tell(this.#told)
  }

  #tellAll(): void {
    for (const organization_id of this.#subscriptions.keys()) this.#tell(organization_id)
  }
}

/** One who waits for events of an organization. */
export class Subscription {
  /** The same for those who were told the same last, and for nobody else. */
  version: number
  /** Ends it. */
  readonly close: () => void
  #ear = new AbortController()

  constructor(version: number, close: () => void) {
    this.version = version
    this.close = close
  }

  tell(version: number): void {
    this.version = version
    this.#ear.abort()
  }

  /** Waits until there may be events that were not there at the end of the last wait. */
  async wait(milliseconds: number, signal: AbortSignal): Promise<void> {
    const either = AbortSignal.any([signal, this.#ear.signal])
    await sleep(milliseconds, undefined, { signal: either }).catch(() => {})
    this.#ear = new AbortController()
  }
}
