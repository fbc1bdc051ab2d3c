import { unavailable } from '../errors.ts'

/** Bounds on waiting for the database, in milliseconds. */
export interface Timeouts {
  /** One statement, enforced by Postgres. */
  statement: number
  /** A count or a report, which must not take the place of lists for long. */
  aggregate: number
  /** One statement in a snapshot, for which nobody waits (see `inSnapshot`). */
  snapshot: number
  /** One lock, enforced by Postgres. */
  lock: number
  /** The answer to one statement, for a server that stopped answering; longer than `statement`. */
  answer: number
  /** The turn of an organization. */
  turn: number
  /** A whole transaction; shorter than the keep-alive of an idle client connection. */
  transaction: number
}

export const defaultTimeouts: Timeouts = {
  statement: 5_000,
  aggregate: 3_000,
  snapshot: 60_000,
  lock: 2_000,
  answer: 7_000,
  turn: 3_000,
  transaction: 9_000
}

interface Wait {
  until: number
  reject: (error: Error) => void
}
const waits = new Set<Wait>()
let timer: NodeJS.Timeout | undefined

/**
 * The result of `work`, or 503 after `milliseconds`. One timer serves all waits, so that a wait
 * costs no timer of its own; it checks four times a second.
 */
export async function withTimeout<T>(milliseconds: number, work: PromiseLike<T>): Promise<T> {
  timer ??= setInterval(rejectExpired, 250).unref()
  return await new Promise<T>((resolve, reject) => {
    const wait = { until: performance.now() + milliseconds, reject }
    waits.add(wait)
    work.then(
      value => {
        waits.delete(wait)
        resolve(value)
      },
      (error: Error) => {
        waits.delete(wait)
        reject(error)
      }
    )
  })
}

function rejectExpired() {
  const now = performance.now()
  for (const wait of waits) {
    if (wait.until > now) continue
    waits.delete(wait)
    wait.reject(
      unavailable(
        'The database did not respond in time. A change may or may not have been saved: check ' +
          'before retrying.'
      )
    )
  }
}
