import { conflict, Problem } from '../errors.ts'

/** For a key that another request is using right now. */
export const keyInUse = () =>
  new Problem(
    409,
    'idempotency_in_progress',
    'A request with this Idempotency-Key is in progress.',
    { headers: { 'retry-after': '1' } }
  )

/** For a key that was used for another request. */
export const keyReused = (method: string, path: string) =>
  new Problem(
    422,
    'idempotency_key_reused',
    `This Idempotency-Key was used for another request: ${method} ${path}.`
  )

/** For a plan whose effects are no longer the same; `effects` are those that differ. */
export const planStale = (detail: string, effects: object[]) =>
  new Problem(412, 'plan_stale', detail, { members: { effects } })

/** For a credential that must show what it deletes before. */
export const planRequired = () =>
  new Problem(428, 'plan_required', 'This API token requires a plan: send `Prefer: dry-run` first.')

/** For a key whose response was for other rights, or encrypted with another secret. */
export const keyUnreadable = () =>
  conflict('The request was carried out, but its response can no longer be read.')
