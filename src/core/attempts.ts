import { unavailable } from './errors.ts'

/**
 * The first result of an optimistic change, which is undefined when another writer was faster.
 * Errors: those of `attempt`; 503 when all attempts were overtaken.
 */
export async function withAttempts<T>(
  max: number,
  attempt: () => Promise<T | undefined>
): Promise<T> {
  for (let i = 0; i < max; i++) {
    const result = await attempt()
    if (result !== undefined) return result
  }
  throw unavailable('Concurrent changes prevented this one; nothing was saved. Retry.')
}
