import type { Problem } from '../errors.ts'

export interface TurnLimits {
  /** How much runs at a time, in all and for one key. */
  total: number
  perKey: number
  /** How much may wait for one key, and for how many milliseconds. */
  queue: number
  wait: number
  /** The problem for what may not, which can be tried again after some seconds. */
  refusal: (seconds: number) => Problem
}

interface Waiting {
  start: () => void
  expiry: NodeJS.Timeout
}

interface Queue {
  running: number
  waiting: Waiting[]
}

/**
 * Work that takes turns between keys, such as organizations: the one with the least running comes
 * next, and of several the one that waits longest, so that no key waits for all the work of
 * another one.
 */
export class Turns {
  readonly #limits: TurnLimits
  /** In the order of their last turn, or of their arrival. */
  readonly #queues = new Map<unknown, Queue>()
  #running = 0

  constructor(limits: TurnLimits) {
    this.#limits = limits
  }

  /** Runs `work` in a turn of `key`. Errors: the refusal, those of `work`. */
  async run<T>(key: unknown, work: () => PromiseLike<T>): Promise<T> {
    const end = await this.begin(key)
    try {
      return await work()
    } finally {
      end()
    }
  }

  /** Waits for a turn of `key`; returns what ends it. Errors: the refusal. */
  async begin(key: unknown): Promise<() => void> {
    const queue = this.#queues.get(key) ?? { running: 0, waiting: [] }
    this.#queues.set(key, queue)
    if (queue.waiting.length === 0 && this.#hasRoomFor(queue)) this.#start(key, queue)
    else await this.#wait(key, queue)
    let ended = false
    return () => {
      if (ended) return
      ended = true
      this.#end(key, queue)
    }
  }

  #hasRoomFor({ running }: Queue): boolean {
    return this.#running < this.#limits.total && running < this.#limits.perKey
  }

  #start(key: unknown, queue: Queue): void {
    this.#running++
    queue.running++
    this.#queues.delete(key)
    this.#queues.set(key, queue)
  }

  async #wait(key: unknown, queue: Queue): Promise<void> {
    if (queue.waiting.length >= this.#limits.queue) throw this.#refusal()
    await new Promise<void>((resolve, reject) => {
      const expiry = setTimeout(() => {
        queue.waiting = queue.waiting.filter(other => other !== waiting)
        this.#forget(key, queue)
        reject(this.#refusal())
      }, this.#limits.wait).unref()
      const waiting = { start: resolve, expiry }
      queue.waiting.push(waiting)
    })
  }

  #refusal(): Problem {
    return this.#limits.refusal(this.#limits.wait / 1000)
  }

  #end(key: unknown, queue: Queue): void {
    this.#running--
    queue.running--
    this.#forget(key, queue)
    this.#startNext()
  }

  /** Forgets a key that has nothing running or waiting. */
  #forget(key: unknown, { running, waiting }: Queue): void {
    if (running === 0 && waiting.length === 0) this.#queues.delete(key)
  }

  #startNext(): void {
    const [next] = [...this.#queues]
      .filter(([, queue]) => queue.waiting.length > 0 && this.#hasRoomFor(queue))
      .toSorted(([, a], [, b]) => a.running - b.running)
    if (!next) return
    const [key, queue] = next
    const { start, expiry } = queue.waiting.shift()!
    clearTimeout(expiry)
    this.#start(key, queue)
    start()
  }
}
