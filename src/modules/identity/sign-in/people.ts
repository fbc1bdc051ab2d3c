import { domainToASCII } from 'node:url'
import { isEmail } from '../../../core/http/email.ts'
import { fields as userFields } from '../users/schema.ts'
import type { Claims } from './openid.ts'
import type { Provider } from './queries.ts'
import { SignInRefused } from './refusals.ts'

/** Who has signed in at a provider, as far as it can be trusted. */
export interface Person {
  subject: string
  email: string
  first_name: string | null
  last_name: string | null
  /** Values of the claim that roles are mapped from. */
  values: string[]
}

/** OpenID Connect Core §2. */
const maxSubject = 255

/** The person that claims are about. Errors: `SignInRefused` for an address that proves nothing. */
export function personOf(provider: Provider, claims: Claims): Person {
  const { sub: subject, email } = claims
  if (subject.length > maxSubject) throw new SignInRefused('invalid_response')
  if (typeof email !== 'string' || !isEmail(email) || email.length > userFields.email.maxLength!)
    throw new SignInRefused('email_missing')
  if (!isVerified(provider, claims)) throw new SignInRefused('email_unverified')
  if (!provider.allowed_domains.includes(domainOf(email)))
    throw new SignInRefused('domain_not_allowed')
  return {
    subject,
    email,
    first_name: nameIn(claims.given_name),
    last_name: nameIn(claims.family_name),
    values: provider.role_claim === null ? [] : valuesAt(claims, provider.role_claim)
  }
}

/** Some providers send the flag as text. */
function isVerified({ trusts_email }: Provider, { email_verified }: Claims): boolean {
  if (email_verified === undefined || email_verified === null) return trusts_email
  return email_verified === true || email_verified === 'true'
}

const domainOf = (email: string) => domainToASCII(email.slice(email.lastIndexOf('@') + 1))

/** A name as it can be stored; null for none. */
function nameIn(claim: unknown): string | null {
  if (typeof claim !== 'string') return null
  const name = claim.toWellFormed().replaceAll('\0', '').trim()
  return name.slice(0, userFields.first_name.maxLength).toWellFormed() || null
}

/** The texts of a claim, or of one in an object: `realm_access.roles`. */
function valuesAt(claims: Claims, name: string): string[] {
  const value = Object.hasOwn(claims, name)
    ? claims[name]
    : name.split('.').reduce<unknown>((at, key) => {
        const isObject = typeof at === 'object' && at !== null && Object.hasOwn(at, key)
        return isObject ? (at as Record<string, unknown>)[key] : undefined
      }, claims)
  return [value].flat().filter(one => typeof one === 'string')
}
