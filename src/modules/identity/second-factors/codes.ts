import { Secret, TOTP } from 'otpauth'
import { randomBytes } from 'node:crypto'
import { hashOf } from '../../../core/access/tokens.ts'

/** What authenticator apps support everywhere: SHA-1, six digits, 30 seconds (RFC 6238). */
const issuer = 'SmartX CRM'
/** Periods by which the clock of a phone may differ. */
const window = 1
const recoveryCodes = 10
/** 80 bits, which need no slow hash. */
const recoveryBytes = 10

/** A new secret, in base32. */
export const newSecret = (): string => new Secret().base32

/** The URI that an app reads, usually from a QR code; `label` names the account in it. */
export const uriOf = (secret: string, label: string): string =>
  new TOTP({ issuer, label, secret }).toString()

/** A code as it is compared, without the spaces and hyphens that people type. */
export const plainCode = (code: string): string => code.replaceAll(/[\s-]/g, '').toUpperCase()

/** Whether a plain code is one of an app; others are recovery codes. */
export const isFromApp = (plain: string): boolean => /^\d{6}$/.test(plain)

/** The time step of which this is the code, in periods since 1970; undefined if of none nearby. */
export function stepOf(secret: string, plain: string): number | undefined {
  const timestamp = Date.now()
  const totp = new TOTP({ secret })
  const delta = totp.validate({ token: plain, timestamp, window })
  return delta === null ? undefined : totp.counter({ timestamp }) + delta
}

/** New recovery codes, such as `ABCD-EFGH-IJKL-MNOP`. */
export const newRecoveryCodes = (): string[] =>
  Array.from({ length: recoveryCodes }, () =>
    new Secret({ buffer: Uint8Array.from(randomBytes(recoveryBytes)).buffer }).base32.replaceAll(
      /(.{4})(?=.)/g,
      '$1-'
    )
  )

/** How a recovery code is stored. */
export const hashOfCode = (code: string): string => hashOf(plainCode(code))
