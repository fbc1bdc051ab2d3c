import type { FastifyBaseLogger } from 'fastify'
import { setTimeout as sleep } from 'node:timers/promises'
import { Subscription } from '../core/records/sequencer.ts'
import type { Services } from '../core/services.ts'
import {
  deliveryService,
  type Claimed,
  type Schedule
} from '../modules/integrations/deliveries/service.ts'
import type { Background } from './runner.ts'

/** Requests of a process that are on their way at a time. */
const maxInFlight = 100
/** Organizations whose events are read at a time. */
const maxExpanding = 8
/** Milliseconds that requests have to end when the process stops; they are sent again then. */
const grace = 5_000

export interface WebhookOptions extends Partial<Schedule> {
  /** Milliseconds between looks for what is due, and for events that nobody told of. */
  interval?: number
}

/**
 * Sends events to webhooks until it is stopped: one loop adds deliveries for what comes in the
 * feeds, the other one sends those that are due. All processes do; they share the work.
 */
export function startWebhooks(
  services: Services,
  log: FastifyBaseLogger,
  { interval = 1_000, ...changes }: WebhookOptions = {}
): Background {
  return new Sender(services, log, interval, { ...deliveryService.schedule, ...changes })
}

class Sender implements Background {
  readonly #services: Services
  readonly #log: FastifyBaseLogger
  readonly #interval: number
  readonly #schedule: Schedule
  readonly #stopping = new AbortController()
  /** Aborts what is still on its way some time after the stop. */
  readonly #ending = new AbortController()
  readonly #told = new Set<number>()
  /** The organizations whose events are being read. */
  readonly #expanding = new Map<number, Promise<void>>()
  readonly #inFlight = new Set<Promise<void>>()
  readonly #news = new Subscription(0, () => {})
  readonly #due = new Subscription(0, () => {})
  readonly #loops: Promise<void>[]
  readonly #forget: () => void
  #stopped: Promise<void> | undefined

  constructor(services: Services, log: FastifyBaseLogger, interval: number, schedule: Schedule) {
    this.#services = services
    this.#log = log
    this.#interval = interval
    this.#schedule = schedule
    this.#forget = services.sequencer.onTold(organization_id => {
      this.#told.add(organization_id)
      this.#news.tell(0)
    })
    this.#loops = [
      this.#loop(this.#news, async () => await this.#expand()),
      this.#loop(this.#due, async () => await this.#send())
    ]
  }

  /** Does `work` again and again: when it is told, and after the interval. */
  async #loop(ear: Subscription, work: () => Promise<boolean>): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      let hasMore = false
      try {
        hasMore = await work()
      } catch (error) {
        if (!signal.aborted) this.#log.warn({ err: error }, 'webhooks could not be served')
        await sleep(this.#interval, undefined, { signal }).catch(() => {})
      }
      if (!hasMore) await ear.wait(this.#interval, signal)
    }
  }

  /** Has the webhooks served that the feed has gone on for: no organization waits for another. */
  async #expand(): Promise<boolean> {
    const told = [...this.#told]
    this.#told.clear()
    const only = told.length === 1 ? told[0] : null
    const behind = await deliveryService.findBehind(this.#services, only)
    for (const [organization_id, webhooks] of Map.groupBy(behind, one => one.organization_id)) {
      if (this.#expanding.has(organization_id) || this.#expanding.size === maxExpanding) continue
      const ids = webhooks.map(({ id }) => id)
      const expanded = this.#expandAll(organization_id, ids).then(isDone => {
        this.#expanding.delete(organization_id)
        // for what was skipped meanwhile, and what is left; what failed waits for the interval
        if (isDone) this.#news.tell(0)
      })
      this.#expanding.set(organization_id, expanded)
    }
    return false
  }

  /** Reads a part for each of these webhooks; returns whether none has failed. */
  async #expandAll(organization_id: number, webhook_ids: number[]): Promise<boolean> {
    let isDone = true
    for (const id of webhook_ids) {
      if (!(await this.#expandOne(organization_id, id))) isDone = false
      this.#due.tell(0)
    }
    return isDone
  }

  async #expandOne(organization_id: number, webhook_id: number): Promise<boolean> {
    if (this.#stopping.signal.aborted) return false
    try {
      await deliveryService.expand(this.#services, organization_id, webhook_id)
      return true
    } catch (error) {
      const what = 'the events of a webhook could not be read'
      this.#log.warn({ err: error, organization_id, webhook_id }, what)
      return false
    }
  }

  async #send(): Promise<boolean> {
    const free = maxInFlight - this.#inFlight.size
    if (free === 0) return false
    const claimed = await deliveryService.claimDue(this.#services, free, this.#schedule)
    for (const one of claimed) this.#begin(one)
    return false
  }

  #begin(claimed: Claimed): void {
    const { organization_id, id } = claimed
    const sent = deliveryService
      .attempt(this.#services, claimed, this.#schedule, this.#ending.signal)
      .catch((error: unknown) => {
        this.#log.warn({ err: error, organization_id, delivery_id: id }, 'a delivery is sent again')
      })
      .finally(() => {
        this.#inFlight.delete(sent)
        this.#due.tell(0)
      })
    this.#inFlight.add(sent)
  }

  /** Waits for the requests that are on their way. */
  async stop(): Promise<void> {
    await (this.#stopped ??= this.#stop())
  }

  async #stop(): Promise<void> {
    this.#stopping.abort()
    this.#forget()
    await Promise.all([...this.#loops, ...this.#expanding.values()])
    const timer = setTimeout(() => {
      this.#ending.abort()
    }, grace)
    await Promise.all(this.#inFlight)
    clearTimeout(timer)
  }
}
