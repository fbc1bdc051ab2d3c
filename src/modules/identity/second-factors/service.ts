import type { Context } from '../../../core/access/context.ts'
import { decrypt, encrypt } from '../../../core/access/encryption.ts'
import { secondFactorNeeded } from '../auth/errors.ts'
import { conflict } from '../../../core/errors.ts'
import { recordAccess } from '../../../core/records/events.ts'
import { assertAdmitted, countAttempt, settle, verifying } from '../auth/throttle.ts'
import { userService } from '../users/service.ts'
import {
  hashOfCode,
  isFromApp,
  newRecoveryCodes,
  newSecret,
  plainCode,
  stepOf,
  uriOf
} from './codes.ts'
import {
  accountOfCaller,
  confirmPending,
  deleteSecondFactor,
  lockPending,
  secretOf,
  setPending,
  setRecoveryCodes,
  stateOfCaller,
  useRecoveryCode,
  useStep,
  type State
} from './queries.ts'

const keyOf = ({ services }: Context) => services.keyFor('second factors')
const rowOf = ({ organization_id }: Context, user_id: number) =>
  `${organization_id}/user/${user_id}`

const encrypted = (ctx: Context, user_id: number, secret: string): string =>
  encrypt(keyOf(ctx), secret, rowOf(ctx, user_id))

/** A secret, or undefined if it was encrypted with another `JWT_SECRET`. */
function readable(ctx: Context, user_id: number, secret: string): string | undefined {
  try {
    return decrypt(keyOf(ctx), secret, rowOf(ctx, user_id))
  } catch {
    return undefined
  }
}

/** TOTP codes (RFC 6238) of an app as the second factor of a login, and recovery codes. */
export const secondFactorService = {
  /** Whether the caller has one, and must have one. */
  async state(ctx: Context): Promise<State & { is_enabled: boolean }> {
    const [state] = await ctx.read<State>(stateOfCaller)
    return { is_enabled: state!.enabled_since !== null, ...state! }
  },

  /** Makes a secret for the app of the caller, which counts once it is confirmed. */
  async enroll(ctx: Context): Promise<{ secret: string; uri: string }> {
    const id = ctx.user_id!
    const secret = newSecret()
    const [account] = await ctx.read<{ username: string; slug: string }>(accountOfCaller)
    await ctx.write([], setPending(id, encrypted(ctx, id, secret)))
    const { username, slug } = account!
    return { secret, uri: uriOf(secret, `${username} (${slug})`) }
  },

  /**
   * Makes the secret that was enrolled last the second factor, once a code shows that the app has
   * it. Returns new recovery codes. Errors: 409 without an enrollment, 422 for a wrong code, 429.
   */
  async confirm(ctx: Context, code: string, address: string): Promise<string[]> {
    const { services } = ctx
    const attempt = await countAttempt(services, ctx.user_id!, address)
    assertAdmitted(attempt, true)
    const codes = await verifying(services, attempt, async () => await confirmWith(ctx, code))
    // it proves nothing about the password
    await settle(services, attempt, codes ? 'incomplete' : 'wrong')
    if (codes) return codes
    await recordAccess(ctx, 'login.failed', { reason: 'second_factor' })
    throw secondFactorNeeded(422, 'second_factor_invalid')
  },

  /** Replaces the recovery codes of the caller. Errors: 409 without a second factor. */
  async renewRecoveryCodes(ctx: Context): Promise<string[]> {
    const codes = newRecoveryCodes()
    await ctx.transaction(async ctx => {
      const changed = await ctx.write([], setRecoveryCodes(ctx.user_id!, codes.map(hashOfCode)))
      if (changed.length === 0) throw conflict('There is no second factor.')
      await recordAccess(ctx, 'recovery_codes.renewed')
    })
    return codes
  },

  /** Takes away the caller's own. Errors: 409 if the organization requires one. */
  async removeOwn(ctx: Context): Promise<void> {
    const { is_required } = await secondFactorService.state(ctx)
    if (is_required)
      throw conflict('Your organization requires a second factor. To replace yours, enroll again.')
    await secondFactorService.remove(ctx, ctx.user_id!)
  },

  /** Takes away the second factor of a user, if there is one. */
  async remove(ctx: Context, user_id: number): Promise<void> {
    await ctx.transaction(async ctx => {
      await ctx.write([], deleteSecondFactor(user_id))
      await userService.noteSecondFactor(ctx, user_id, null)
    })
  },

  /**
   * Takes away the second factor of another user. Errors: 404, 403 if the user may do more than the
   * caller, or reaches other records; of oneself, as `removeOwn`.
   */
  async reset(ctx: Context, user_id: number): Promise<void> {
    if (user_id === ctx.user_id) return await secondFactorService.removeOwn(ctx)
    await userService.manage(ctx, user_id, async (ctx, user) => {
      await userService.assertMayActAs(ctx, user)
      await secondFactorService.remove(ctx, user_id)
    })
  },

  /** Whether this is a code of a user's app or a recovery code. It is used up by that. */
  async use(ctx: Context, user_id: number, code: string): Promise<boolean> {
    const plain = plainCode(code)
    if (!isFromApp(plain)) return await useRecovery(ctx, user_id, code)
    const [row] = await ctx.read<{ secret: string }>(secretOf(user_id))
    const secret = row && readable(ctx, user_id, row.secret)
    const step = secret === undefined ? undefined : stepOf(secret, plain)
    return step !== undefined && (await ctx.write([], useStep(user_id, step))).length > 0
  }
}

/** Returns recovery codes; undefined for a wrong code. Errors: 409 without an enrollment. */
async function confirmWith(ctx: Context, code: string): Promise<string[] | undefined> {
  const id = ctx.user_id!
  return await ctx.transaction(async ctx => {
    const pending = await ctx.one<{ pending_secret: string }>(lockPending(id))
    const secret = pending && readable(ctx, id, pending.pending_secret)
    if (secret === undefined)
      throw conflict('There is nothing to confirm: start the enrollment first.')
    const step = stepOf(secret, plainCode(code))
    if (step === undefined) return undefined
    const codes = newRecoveryCodes()
    await ctx.write([], confirmPending(id, step, codes.map(hashOfCode)))
    await userService.noteSecondFactor(ctx, id, new Date().toISOString())
    return codes
  })
}

async function useRecovery(ctx: Context, user_id: number, code: string): Promise<boolean> {
  return await ctx.transaction(async ctx => {
    const used = await ctx.write([], useRecoveryCode(user_id, hashOfCode(code)))
    if (used.length > 0) await recordAccess(ctx, 'recovery_code.used')
    return used.length > 0
  })
}
