import { createHash, randomBytes } from 'node:crypto'
import { ruleBroken } from '../errors.ts'

/** A secret that nobody can guess: 32 random bytes, as 43 characters that URLs can have. */
export const newToken = (): string => randomBytes(32).toString('base64url')

/** How a token is stored: SHA-256 as 64 hexadecimal digits. */
export const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex')

/** The one error for a one-time token that is not accepted, whatever the reason. */
export const unusableToken = (field = 'token') =>
  ruleBroken(field, 'The token is unknown, expired or no longer valid.', {
    rule: 'one_time_token'
  })
