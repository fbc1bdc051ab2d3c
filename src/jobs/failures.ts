import { Problem, problemOfDatabase } from '../core/errors.ts'
import type { JobError } from '../core/user-jobs.ts'
import { vocabulary } from '../core/vocabulary.ts'

/** How often work that users see is tried before it has failed. */
const maxAttempts = 5

/** The error of work that has failed after some attempts; undefined if it is to be tried again. */
export function failureOf(error: unknown, attempts: number): JobError | undefined {
  const problem = error instanceof Problem ? error : problemOfDatabase(error)
  const isFinal = problem !== undefined && problem.status < 500 && problem.status !== 429
  if (!isFinal && attempts < maxAttempts) return undefined
  const { code, detail } = problem ?? { code: 'internal', detail: vocabulary.internal }
  return { code, detail }
}
