import { withTimeout } from '../db/timeouts.ts'
import { withoutHoles } from '../db/workarounds.ts'
import type { Cache } from './cache.ts'

/**
 * Waits for a write and then for the cache to forget what it changed, whatever its outcome: a
 * connection lost at the commit does not tell whether there was one. A write that timed out may
 * still be committed, and is forgotten once more when it has been.
 */
export async function invalidating<Result>(
  cache: Cache,
  keys: () => string[],
  write: PromiseLike<Result>,
  milliseconds: number
): Promise<Result> {
  const forget = async () => {
    if (keys().length > 0) await cache.invalidate(keys())
  }
  const finished = (async () => {
    try {
      return withoutHoles(await write)
    } finally {
      await forget()
    }
  })()
  try {
    return await withTimeout(milliseconds, finished)
  } catch (error) {
    await forget()
    throw error
  }
}
