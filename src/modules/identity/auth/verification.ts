import { Context, type Services } from '../../../core/access/context.ts'
import { Problem } from '../../../core/errors.ts'
import { secondFactorNeeded } from '../../../core/access/login-errors.ts'
import { recordAccess } from '../../../core/records/events.ts'
import { secondFactorService } from '../second-factors/service.ts'
import type { Candidate } from './queries.ts'
import { assertAdmitted, countAttempt, settle, type Attempt } from './throttle.ts'

/** A candidate whose password was verified. */
export interface Match {
  user: Candidate
  /** Settled, unless the user has a second factor: then `requireCode` does so. */
  attempt: Attempt
}

/**
 * Those of the candidates whose password this is. One password is verified even if there is nobody,
 * so that the time does not tell. Errors: 429 when attempts were refused and no other one is
 * correct.
 */
export async function withPassword(
  services: Services,
  candidates: Candidate[],
  { username, password, address }: { username: string; password: string; address: string }
): Promise<Match[]> {
  const matching: Match[] = []
  const refusals: Problem[] = []
  for (const candidate of candidates.length > 0 ? candidates : [undefined]) {
    try {
      const attempt = await countAttempt(services, candidate?.id ?? username, address)
      const isCorrect = await services.passwords.verify(password, candidate?.password_hash)
      if (candidate?.has_second_factor && isCorrect) assertAdmitted(attempt, true)
      else await settle(services, attempt, isCorrect ? 'correct' : 'wrong')
      if (candidate && isCorrect) matching.push({ user: candidate, attempt })
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 429) throw error
      refusals.push(error)
    }
  }
  if (matching.length === 0 && refusals.length > 0) throw refusals[0]!
  return matching
}

/**
 * Requires a code of the second factor, after the right password: nobody else learns that there is
 * one. A wrong code counts like a wrong password. Errors: `status` without a correct code, 429.
 */
export async function requireCode(
  ctx: Context,
  { user_id, attempt, code }: { user_id: number; attempt: Attempt; code: string | undefined },
  status: 401 | 422
): Promise<void> {
  assertAdmitted(attempt, true)
  if (code === undefined) {
    await settle(ctx.services, attempt, 'incomplete')
    throw secondFactorNeeded(status, 'second_factor_required')
  }
  const isCorrect = await secondFactorService.use(ctx, user_id, code)
  await settle(ctx.services, attempt, isCorrect ? 'correct' : 'wrong')
  if (isCorrect) return
  await recordAccess(ctx, 'login.failed', { reason: 'second_factor' })
  throw secondFactorNeeded(status, 'second_factor_invalid')
}
