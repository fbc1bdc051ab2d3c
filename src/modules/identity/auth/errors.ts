import { Problem, realm } from '../../../core/errors.ts'

/**
 * For a correct password without a correct code: `status` is 401 for a login, and 422 within a
 * session, which goes on.
 */
export const secondFactorNeeded = (
  status: 401 | 422,
  code: 'second_factor_required' | 'second_factor_invalid'
) => {
  const detail =
    code === 'second_factor_required'
      ? 'Send a code of the second factor, or a recovery code.'
      : 'The code is incorrect or was used before.'
  return new Problem(status, code, detail, {
    errors: [{ pointer: '/code', code, detail }],
    ...(status === 401 && { headers: { 'www-authenticate': realm } })
  })
}
export const enrollmentRequired = () =>
  new Problem(
    403,
    'second_factor_enrollment_required',
    'The organization requires a second factor: enroll one first.'
  )
export const stepUpRequired = () =>
  new Problem(
    403,
    'step_up_required',
    'Confirm who you are: POST /api/auth/step-up with your password.'
  )
/** For a user who has to sign in with an identity provider. */
export const signInEnforced = () =>
  new Problem(
    403,
    'sign_in_enforced',
    'Your organization requires you to sign in with its identity provider.'
  )
