import { LRUCache } from 'lru-cache'

/**
 * A response ready to send: `body` is JSON text, `etag` the value of the header with its quotes.
 */
export interface Entry {
  etag: string
  body: string
}

/** A cache shared by several processes. Every method may fail silently; none throws. */
export interface SharedCache {
  get: (key: string) => Promise<Entry | undefined>
  /** Stores an entry unless the key was invalidated while the entry was being loaded. */
  fill: (key: string, entry: Entry) => void
  /** Deletes the keys and notifies the other processes. Waits 100 ms at most. */
  invalidate: (keys: string[]) => Promise<void>
  healthy: () => boolean
  close: () => void
}

/** Milliseconds after which an entry expires whose invalidation was lost or never sent. */
const nearLifetime = 5_000
const nearBytes = 16 * 1024 * 1024

interface Load {
  entry: Promise<Entry>
  overtaken: boolean
}

/**
 * Ready-to-send JSON, near (in this process, bounded) and, where there is a Redis, shared.
 * After `invalidate` has resolved, no reader of this process gets an older entry, not even from a
 * slow read that began earlier: its result goes to those who wait for it and is not stored.
 */
export class Cache {
  readonly #near = new LRUCache<string, Entry>({
    maxSize: nearBytes,
    ttl: nearLifetime,
    ttlResolution: 100,
    sizeCalculation: (entry, key) => entry.body.length + key.length + 100
  })
  readonly #loads = new Map<string, Load>()
  readonly #listeners: ((key: string | undefined) => void)[] = []
  readonly #shared: SharedCache | undefined

  /**
   * `connect` creates the shared tier. It gets the function to call with each key that another
   * process invalidated, or with undefined when messages may have been lost.
   */
  constructor(connect?: (forget: (key?: string) => void) => SharedCache) {
    this.#shared = connect?.(key => {
      this.#forget(key)
    })
  }

  /** The entry in this process, if any: synchronous, for the hottest path. */
  peek(key: string): Entry | undefined {
    return this.#near.get(key)
  }

  /**
   * The entry, near or shared, or from `load`, which runs once for all callers. Errors: its own.
   */
  async read(key: string, load: () => Promise<Entry>): Promise<Entry> {
    const running = this.#loads.get(key)
    if (running) return await running.entry
    const mine: Load = {
      entry: Promise.resolve().then(() => this.#fill(key, load, mine)),
      overtaken: false
    }
    this.#loads.set(key, mine)
    try {
      return await mine.entry
    } finally {
      if (this.#loads.get(key) === mine) this.#loads.delete(key)
    }
  }

  async #fill(key: string, load: () => Promise<Entry>, mine: Load): Promise<Entry> {
    const shared = await this.#shared?.get(key)
    const entry = shared ?? (await load())
    if (!mine.overtaken) {
      this.#near.set(key, entry)
      if (!shared) this.#shared?.fill(key, entry)
    }
    return entry
  }

  /**
   * To be awaited between a commit and its response. Shared first: a read in between could bring
   * the old entry back.
   */
  async invalidate(keys: string[]): Promise<void> {
    await this.#shared?.invalidate(keys)
    for (const key of keys) this.#forget(key)
  }

  /**
   * Calls `listener` with each key that is invalidated, by any process; with undefined when
   * messages may have been lost.
   */
  onInvalidation(listener: (key: string | undefined) => void): void {
    this.#listeners.push(listener)
  }

  #forget(key?: string): void {
    const keys = key === undefined ? [...this.#loads.keys()] : [key]
    for (const one of keys) {
      const load = this.#loads.get(one)
      if (load) load.overtaken = true
      this.#loads.delete(one)
    }
    if (key === undefined) this.#near.clear()
    else this.#near.delete(key)
    for (const listener of this.#listeners) listener(key)
  }

  /** `none` without a shared tier, otherwise whether it responds. */
  state(): 'none' | 'ok' | 'degraded' {
    if (this.#shared === undefined) return 'none'
    return this.#shared.healthy() ? 'ok' : 'degraded'
  }

  close(): void {
    this.#shared?.close()
  }
}
