import { unavailable } from '../errors.ts'

/**
 * How long is waited for a statement, longer than statement_timeout since it is for a server that does not even say so, and for a
 * transaction; both shorter than the ten seconds after which an idle connection of a client is closed. Milliseconds.
 */
export const patience = { statement: 7_000, transaction: 9_000 }

interface Wait {
  until: number
  reject: (error: Error) => void
}
const waits = new Set<Wait>()
let watch: NodeJS.Timeout | undefined

/**
 * The result of `work`, or 503 after `milliseconds`, for a database that neither answers nor hangs up. One timer looks after
 * all waits, so that a wait costs no timer of its own; it looks four times a second.
 */
export async function within<T>(milliseconds: number, work: PromiseLike<T>): Promise<T> {
  watch ??= setInterval(sweep, 250).unref()
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

function sweep() {
  const now = performance.now()
  for (const wait of waits) {
    if (wait.until > now) continue
    waits.delete(wait)
    wait.reject(
      unavailable(
        'The database did not answer in time. A change may or may not have been made: look before you send it again.'
      )
    )
  }
}
