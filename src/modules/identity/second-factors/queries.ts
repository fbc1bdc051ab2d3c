import type { SQL } from 'drizzle-orm'
import { actor, organization, ours } from '../../../core/db/sql.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { organizations } from '../organizations/table.ts'
import { users } from '../users/table.ts'
import { secondFactors } from './table.ts'

/** The second factor of the caller, as they see it. */
export interface State {
  enabled_since: string | null
  recovery_codes_left: number
  is_required: boolean
}

export const stateOfCaller = sql`
  select u.second_factor_since as enabled_since,
    coalesce(cardinality(f.recovery_codes), 0) as recovery_codes_left,
    o.second_factor = 'required' as is_required
  from ${ours(users, 'u')} join ${organizations} o on o.id = u.organization_id
  left join ${ours(secondFactors, 'f')} on f.user_id = u.id
  where u.id = ${actor}`

/** What the app of the caller calls the account. */
export const accountOfCaller = sql`
  select u.username, o.slug from ${ours(users, 'u')}
  join ${organizations} o on o.id = u.organization_id where u.id = ${actor}`

const ofUser = (user_id: number) => sql`organization_id = ${organization} and user_id = ${user_id}`

/** Keeps a secret that is to be confirmed, in place of an earlier one. */
export const setPending = (user_id: number, secret: string): SQL => sql`
  insert into ${secondFactors} (organization_id, user_id, pending_secret)
  values (${organization}, ${user_id}, ${secret})
  on conflict (organization_id, user_id) do update set pending_secret = excluded.pending_secret`

/** The secret that is to be confirmed, which nobody else confirms meanwhile. */
export const lockPending = (user_id: number): SQL => sql`
  select pending_secret from ${ours(secondFactors)}
  where user_id = ${user_id} and pending_secret is not null for update`

/** Makes the secret that was confirmed the one that counts. */
export const confirmPending = (user_id: number, step: number, hashes: string[]): SQL => sql`
  update ${secondFactors} set secret = pending_secret, pending_secret = null,
    last_step = ${step}, recovery_codes = ${sql.param(hashes)}
  where ${ofUser(user_id)}`

export const secretOf = (user_id: number): SQL => sql`
  select secret from ${ours(secondFactors)} where user_id = ${user_id} and secret is not null`

/** Uses up a time step and all before it, unless that has been done: of parallel ones, one does. */
export const useStep = (user_id: number, step: number): SQL => sql`
  update ${secondFactors} set last_step = ${step}
  where ${ofUser(user_id)} and last_step < ${step} returning user_id`

/** Uses up a recovery code: of parallel ones, one does. */
export const useRecoveryCode = (user_id: number, hash: string): SQL => sql`
  update ${secondFactors} set recovery_codes = array_remove(recovery_codes, ${hash}::varchar)
  where ${ofUser(user_id)} and secret is not null and ${hash}::varchar = any(recovery_codes)
  returning user_id`

export const setRecoveryCodes = (user_id: number, hashes: string[]): SQL => sql`
  update ${secondFactors} set recovery_codes = ${sql.param(hashes)}
  where ${ofUser(user_id)} and secret is not null returning user_id`

export const deleteSecondFactor = (user_id: number): SQL => sql`
  delete from ${secondFactors} where ${ofUser(user_id)}`
