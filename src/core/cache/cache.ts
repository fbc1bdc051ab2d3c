import { LRUCache } from 'lru-cache'

/** A ready-to-send answer: `body` is JSON text, `etag` the value of its header, quotes included. */
export interface Entry {
  etag: string
  body: string
}

/** A cache shared by several processes. Its answers are hints: every method may fail quietly, none throws. */
export interface SharedCache {
  get: (key: string) => Promise<Entry | undefined>
  /** Keeps an entry unless the key was invalidated while the entry was being made. */
  fill: (key: string, entry: Entry) => void
  /** Forgets the keys here and tells the other processes. Waits 100 ms at the most. */
  invalidate: (keys: string[]) => Promise<void>
  healthy: () => boolean
  close: () => void
}

/** How an entry is forgotten that nobody invalidated: a lost message, or somebody in psql. Milliseconds. */
const nearLifetime = 5_000
const nearBytes = 16 * 1024 * 1024

interface Load {
  entry: Promise<Entry>
  overtaken: boolean
}

/**
 * Ready-to-send JSON, near (in this process, bounded) and, where there is a Redis, shared.
 * After `invalidate` has resolved no reader of this process gets what was there before, not even from a slow read that
 * began earlier: such a read answers whoever waits for it and is not kept.
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

  /** `connect` makes the shared tier; it is given the function to call with a key that another process invalidated (undefined: any may be). */
  constructor(connect?: (forget: (key?: string) => void) => SharedCache) {
    this.#shared = connect?.(key => {
      this.#forget(key)
    })
  }

  /** The entry if it is near: synchronous, for the hottest path. */
  peek(key: string): Entry | undefined {
    return this.#near.get(key)
  }

  /** The entry, near or shared or else from `load`, which runs once however many ask. Errors: those of `load`. */
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

  /** To be awaited between a commit and its answer. Shared first: a read in between could bring the old entry back. */
  async invalidate(keys: string[]): Promise<void> {
    await this.#shared?.invalidate(keys)
    for (const key of keys) this.#forget(key)
  }

  /** Calls `listener` with each key that is invalidated, here or elsewhere; with undefined when messages may have been lost. */
  onInvalidation(listener: (key: string | undefined) => void): void {
    this.#listeners.push(listener)
  }

  #forget(key?: string): void {
    for (const [loading, load] of key === undefined
      ? this.#loads
      : [[key, this.#loads.get(key)] as const]) {
      if (load) load.overtaken = true
      this.#loads.delete(loading)
    }
    if (key === undefined) this.#near.clear()
    else this.#near.delete(key)
    for (const listener of this.#listeners) listener(key)
  }

  /** `none` without a shared tier, else whether it answers. */
  state(): 'none' | 'ok' | 'degraded' {
    return this.#shared === undefined ? 'none' : this.#shared.healthy() ? 'ok' : 'degraded'
  }

  close(): void {
    this.#shared?.close()
  }
}
