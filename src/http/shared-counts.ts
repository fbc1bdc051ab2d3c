import { Redis } from 'ioredis'
import { randomBytes } from 'node:crypto'
import { redisOptions, redisPause, redisPrefix } from '../core/redis.ts'
import type { Sharing, Window } from './request-counts.ts'

/** Milliseconds between synchronizations. */
const interval = 100
/** Part of the remaining requests that a process may admit before it synchronizes at once. */
const urgentPart = 0.1
/** Windows in one call, which keeps Redis busy for less than a millisecond or two. */
const maxWindowsPerCall = 500

/**
 * A client's key is a hash with a field for each window that a process counts in, so a call that
 * is repeated changes nothing, and what Redis loses comes back. The key expires when the first of
 * these windows ends. Returns for each key what the other fields add up to, and its milliseconds
 * to live.
 */
const script = `
local answers = {}
for i, key in ipairs(KEYS) do
  local field, own, ttl = ARGV[3 * i - 2], ARGV[3 * i - 1], tonumber(ARGV[3 * i])
  if type(redis.pcall('HSET', key, field, own)) == 'table' then -- it has another type
    redis.call('DEL', key)
    redis.call('HSET', key, field, own)
  end
  local left = redis.call('PTTL', key)
  if left < 0 or left > ttl then
    redis.call('PEXPIRE', key, ttl)
    left = ttl
  end
  local sum = 0
  for _, count in ipairs(redis.call('HVALS', key)) do sum = sum + (tonumber(count) or 0) end
  answers[2 * i - 1] = sum - own
  answers[2 * i] = left
end
return answers`

/**
 * Shares request counts in Redis, in the background: no request waits for it. While Redis is slow
 * or gone, each process counts by itself.
 */
export class SharedCounts implements Sharing {
  readonly #redis: Redis
  readonly #process = randomBytes(8).toString('hex')
  readonly #timer: NodeJS.Timeout
  readonly #changed = new Set<Window>()
  #isSynchronizing = false
  #isUrgent = false
  /** By `performance.now`. */
  #pausedUntil = 0

  constructor(url: string) {
    // nothing waits for a call, so it may take longer than those that something waits for
    this.#redis = new Redis(url, { ...redisOptions, commandTimeout: 1_000 })
    this.#redis.on('error', () => {})
    this.#timer = setInterval(() => void this.#synchronize(), interval).unref()
  }

  onRequest(window: Window, remaining: number): void {
    this.#changed.add(window)
    const isUrgent = remaining >= 0 && window.own - window.shared > remaining * urgentPart
    if (!isUrgent || this.#isUrgent) return
    this.#isUrgent = true
    setImmediate(() => void this.#synchronize())
  }

  onEnd(window: Window): void {
    this.#changed.delete(window)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#redis.disconnect()
  }

  async #synchronize(): Promise<void> {
    if (this.#isSynchronizing) return
    this.#isSynchronizing = true
    try {
      while (this.#changed.size > 0 && this.#isUsable()) {
        this.#isUrgent = false
        const isComplete = this.#changed.size <= maxWindowsPerCall
        await this.#send([...this.#changed.values().take(maxWindowsPerCall)])
        if (isComplete && !this.#isUrgent) break
      }
    } catch {
      this.#pausedUntil = performance.now() + redisPause
      // the queue of a frozen one would grow
      if (this.#redis.status === 'ready') this.#redis.disconnect(true)
    } finally {
      this.#isSynchronizing = false
    }
  }

  #isUsable(): boolean {
    return this.#redis.status === 'ready' && performance.now() >= this.#pausedUntil
  }

  /** Errors: those of Redis; then the windows stay changed. */
  async #send(windows: Window[]): Promise<void> {
    const sentAt = Math.floor(performance.now())
    const sent = windows.filter(({ endsAt }) => endsAt > sentAt)
    const counts = sent.map(({ own }) => own)
    const answers = (await this.#redis.eval(
      script,
      sent.length,
      ...sent.map(({ client }) => redisPrefix + client),
      ...sent.flatMap(({ serial, own, endsAt }) => [
        `${this.#process}:${serial}`,
        own,
        endsAt - sentAt
      ])
    )) as number[]
    for (const window of windows) this.#changed.delete(window)
    const now = Math.ceil(performance.now())
    for (const [i, window] of sent.entries()) {
      window.shared = counts[i]!
      if (window.own > window.shared) this.#changed.add(window)
      this.#adopt(window, answers[2 * i]!, now + answers[2 * i + 1]!)
    }
  }

  /** What is in Redis can be anything. A count does not decrease when Redis has lost others. */
  #adopt(window: Window, others: number, endsAt: number): void {
    if (!Number.isSafeInteger(others)) return
    window.others = Math.max(window.others, others)
    window.endsAt = Math.min(window.endsAt, endsAt)
  }
}
