import { Secret, TOTP } from 'otpauth'
import { setTimeout as sleep } from 'node:timers/promises'
import type { App, Call } from './app.ts'

/** The code that an app shows, `steps` periods of 30 seconds from now. */
export const codeOf = (secret: string, steps = 0): string =>
  new TOTP({ secret: Secret.fromBase32(secret) }).generate({
    timestamp: Date.now() + steps * 30_000
  })

/** A code that the app does not show. */
export const wrongCode = (secret: string) =>
  [-1, 0, 1].map(steps => codeOf(secret, steps)).includes('000000') ? '111111' : '000000'

/** Waits, if a period is about to end, for the next one: codes keep their distance for a while. */
export async function steadyPeriod(): Promise<void> {
  const left = TOTP.remaining()
  if (left < 5_000) await sleep(left)
}

/** Enrolls a second factor with the code of the last period, so that two more can be used. */
export async function enroll(call: Call): Promise<{ secret: string; recovery_codes: string[] }> {
  const started = await call('POST /api/auth/second-factor')
  if (started.statusCode !== 200) throw new Error(started.body)
  const { secret } = started.json<{ secret: string }>()
  const code = codeOf(secret, -1)
  const confirmed = await call('POST /api/auth/second-factor/confirmation', { code })
  if (confirmed.statusCode !== 200) throw new Error(confirmed.body)
  return { secret, ...confirmed.json<{ recovery_codes: string[] }>() }
}

/** As if all codes of a user had been used long ago. */
export async function forgetCodes(app: App, user_id: number): Promise<void> {
  await app.services.database
    .pool`update second_factors set last_step = 0 where user_id = ${user_id}`
}

/** Moves times of the sessions of a user into the past, and has them looked up again. */
export async function age(
  app: App,
  user_id: number,
  column: 'created_at' | 'last_used_at' | 'stepped_up_at',
  minutes: number
): Promise<void> {
  const { pool } = app.services.database
  const aged = await pool<{ id: number }[]>`update sessions
    set ${pool(column)} = now() - ${minutes} * interval '1 minute'
    where user_id = ${user_id} returning id`
  await app.services.cache.invalidate(aged.map(({ id }) => `session/${id}`))
}
