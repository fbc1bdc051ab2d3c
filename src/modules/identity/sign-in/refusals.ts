/** Why a sign-in was refused, as the front end is told in `error`. */
export const refusals = {
  provider_unavailable: 'The provider does not respond, or cannot be used.',
  provider_error: 'The provider refused the request, for example because its code was used.',
  provider_changed: 'The provider was changed, disabled or deleted meanwhile.',
  access_denied: 'The user or the provider denied access.',
  invalid_response: 'The response of the provider could not be verified.',
  email_missing: 'The provider names no email address.',
  email_unverified: 'The provider has not verified the email address.',
  domain_not_allowed: 'The domain of the email address is not among the allowed ones.',
  identity_conflict: 'The user of the email address is linked to another identity of the provider.',
  user_refused: 'The user is disabled or deleted, or a service account.',
  no_role: 'No role is provided for the user.',
  temporarily_unavailable: 'The server is overloaded. Try again later.',
  server_error: 'The sign-in failed unexpectedly.'
} as const

/** A sign-in that ends at the front end with an error. */
export class SignInRefused extends Error {
  readonly code: keyof typeof refusals

  constructor(code: keyof typeof refusals, cause?: unknown) {
    super(refusals[code], { cause })
    this.name = 'SignInRefused'
    this.code = code
  }

  /** What was wrong, for those who set up the provider. */
  get reason(): string {
    return this.cause === undefined ? this.message : `${this.message} ${causeOf(this.cause)}`
  }
}

/** Codes of errors in OAuth. */
const oauthError = /^[a-z_]{1,50}$/

/**
 * What is at the bottom of an error, in one line, without what was sent: only the code of an error
 * that a provider has responded with.
 */
export function causeOf(error: unknown): string {
  if (!(error instanceof Error) || error instanceof SyntaxError) return 'The response is invalid.'
  if (error.cause instanceof Error) return causeOf(error.cause)
  const { message } = error
  const code = 'error' in error && typeof error.error === 'string' ? error.error : ''
  return (oauthError.test(code) ? `${message}: ${code}` : message).slice(0, 500)
}
