import { signInEnforced, secondFactorNeeded } from './errors.ts'
import type { Context } from '../../../core/access/context.ts'
import type { Services } from '../../../core/services.ts'
import { organizationRequired, Problem, ruleBroken } from '../../../core/errors.ts'
import { recordAccess } from '../../../core/records/events.ts'
import { secondFactorService } from '../second-factors/service.ts'
import { ownPassword, type Candidate, type OwnPassword } from './queries.ts'
import { assertAdmitted, countAttempt, settle, verifying, type Attempt } from './throttle.ts'

/** A candidate whose password was verified. */
export interface Match {
  user: Candidate
  /** Settled, unless something else is required of the user. */
  attempt: Attempt
}

/** Whether the password alone is not enough. */
const requiresMore = ({ has_second_factor, must_sign_in }: Candidate) =>
  has_second_factor || must_sign_in

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
      const isCorrect = await verifying(
        services,
        attempt,
        async () => await services.passwords.verify(password, candidate?.password_hash)
      )
      if (candidate && isCorrect && requiresMore(candidate)) assertAdmitted(attempt, true)
      else await settle(services, attempt, isCorrect ? 'correct' : 'wrong')
      if (candidate && isCorrect) matching.push({ user: candidate, attempt })
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 429) {
        await leaveIncomplete(services, matching)
        throw error
      }
      refusals.push(error)
    }
  }
  if (matching.length === 0 && refusals.length > 0) throw refusals[0]!
  return matching
}

/** Settles the attempts of those of whom nothing more will be required. */
async function leaveIncomplete(services: Services, matches: Match[]): Promise<void> {
  for (const { user, attempt } of matches)
    if (requiresMore(user)) await settle(services, attempt, 'incomplete')
}

/** The only one of the users with a password, if there is one. Errors: 409 for several. */
export async function onlyMatch(services: Services, matches: Match[]): Promise<Match | undefined> {
  const [match, ...others] = matches
  if (others.length === 0) return match
  await leaveIncomplete(services, matches)
  throw organizationRequired(matches.map(({ user }) => user.organization))
}

/**
 * Requires what the password of a user does not prove. Errors: 403 when the user has to sign in
 * with an identity provider; 401 without a correct code of the second factor; 429.
 */
export async function requireMore(
  ctx: Context,
  { user, attempt }: Match,
  code: string | undefined
): Promise<void> {
  if (user.must_sign_in) {
    await settle(ctx.services, attempt, 'incomplete')
    await recordAccess(ctx, 'login.failed', { reason: 'sign_in_enforced' })
    throw signInEnforced()
  }
  if (user.has_second_factor) await requireCode(ctx, attempt, code, 401)
}

/**
 * Requires a code of the second factor of the user of `ctx`, after the right password: nobody else
 * learns that there is one. A wrong code counts like a wrong password. Errors: `status` without a
 * correct code, 429.
 */
export async function requireCode(
  ctx: Context,
  attempt: Attempt,
  code: string | undefined,
  status: 401 | 422
): Promise<void> {
  const { services } = ctx
  assertAdmitted(attempt, true)
  if (code === undefined) {
    await settle(services, attempt, 'incomplete')
    await recordAccess(ctx, 'login.challenged')
    throw secondFactorNeeded(status, 'second_factor_required')
  }
  const isCorrect = await verifying(
    services,
    attempt,
    async () => await secondFactorService.use(ctx, ctx.user_id!, code)
  )
  await settle(services, attempt, isCorrect ? 'correct' : 'wrong')
  if (isCorrect) return
  await recordAccess(ctx, 'login.failed', { reason: 'second_factor' })
  throw secondFactorNeeded(status, 'second_factor_invalid')
}

/**
 * The caller, whose password was sent in `field`, and the attempt, which is not settled yet.
 * Errors: 422 for a wrong password, 429.
 */
export async function verifyOwnPassword(
  ctx: Context,
  password: string,
  address: string,
  field: 'password' | 'current_password'
): Promise<{ user: OwnPassword; attempt: Attempt }> {
  const { services } = ctx
  const attempt = await countAttempt(services, ctx.user_id!, address)
  const [user, isCorrect] = await verifying(services, attempt, async () => {
    const [user] = await ctx.read<OwnPassword>(ownPassword)
    return [user, await services.passwords.verify(password, user?.password_hash)]
  })
  if (user && isCorrect) return { user, attempt }
  await settle(services, attempt, 'wrong')
  const reason = field === 'password' ? 'step_up' : field
  await recordAccess(ctx, 'login.failed', { reason })
  throw ruleBroken(field, 'The password is incorrect.', { rule: field })
}
