import { hash, verify, type Options } from '@node-rs/argon2'
import { availableParallelism } from 'node:os'
import pLimit from 'p-limit'
import { ruleBroken, unavailable } from '../errors.ts'
import { cleanName } from '../names.ts'
import { newToken } from './tokens.ts'

/** argon2id parameters: memory in KiB, passes. OWASP's minimum is 19456 and 2. */
export interface PasswordCost {
  memory: number
  passes: number
}

export interface Passwords {
  /** Errors: 503 when more passwords wait than can be hashed in about a second. */
  hash: (password: string) => Promise<string>
  /**
   * Takes as long for an unknown user (undefined), and for one without a password, as for a wrong
   * password. Errors: 503 as above.
   */
  verify: (password: string, hashed: string | undefined) => Promise<boolean>
  /** Whether a correct password should be hashed anew: it was hashed as it was typed. */
  isOutdated: (password: string, hashed: string) => Promise<boolean>
}

/** What stands for the hash of a password where there is none: no password has it. */
export const noPassword = (): string => `!${newToken()}`
/** Whether there is a password that has this hash. */
export const isPasswordHash = (hashed: string): boolean => !hashed.startsWith('!')

/** At 9 ms each, about a second of waiting on two cores. */
const maxQueue = 200

/** Hashes as many passwords at a time as there are cores; others queue, up to a limit. */
export function passwords({ memory, passes }: PasswordCost): Passwords {
  // the library's default algorithm is argon2id
  const options: Options = { memoryCost: memory, timeCost: passes, parallelism: 1 }
  const limit = pLimit(availableParallelism())
  const nobody = hash('a password that nobody has', options)
  const limited = async <T>(work: () => Promise<T>): Promise<T> => {
    if (limit.pendingCount >= maxQueue) throw unavailable('Too many logins at once. Retry.')
    return await limit(work)
  }
  const matches = async (password: string, hashed: string | undefined) =>
    await limited(async () => verify(hashed ?? (await nobody), password))
  return {
    hash: async password => await limited(() => hash(normalized(password), options)),
    verify: async (password, given) => {
      const hashed = given !== undefined && isPasswordHash(given) ? given : undefined
      const plain = normalized(password)
      const isCorrect =
        (await matches(plain, hashed)) ||
        // one that was hashed as it was typed, before 0.2
        (plain !== password && (await matches(password, hashed)))
      return isCorrect && hashed !== undefined
    },
    isOutdated: async (password, hashed) => {
      const plain = normalized(password)
      return plain !== password && !(await matches(plain, hashed))
    }
  }
}

/** One form of characters that keyboards compose differently (NIST SP 800-63B §3.1.1.2). */
const normalized = (password: string) => password.normalize('NFKC')

let common: Promise<Set<string>> | undefined

/**
 * Errors: 422 at `field` for a password that is among the most common ones (NIST SP 800-63B
 * §3.1.1.2).
 */
export async function assertUncommon(password: string, field: string): Promise<void> {
  common ??= import('@zxcvbn-ts/language-common').then(
    ({ dictionary }) =>
      new Set(dictionary['passwords-common'].map(String).filter(word => word.length >= 8))
  )
  if ((await common).has(password.toLowerCase()))
    throw ruleBroken(field, 'This password is too common. Choose another one.', {
      rule: 'common_password'
    })
}

const comparable = (text: string) => cleanName(text.normalize('NFKC')).toLowerCase()

/**
 * Whether a password is one of its owner's names, login or email address, or what precedes the `@`
 * in one; regardless of case, surrounding space and invisible characters.
 */
export function isOwnName(password: string, names: readonly string[]): boolean {
  const guesses = names.flatMap(name => [name, name.replace(/@[^@]*$/, '')])
  return guesses.map(comparable).includes(comparable(password))
}

/** Errors: 422 at `field` for a password that is a name of its owner; see `isOwnName`. */
export function assertNotOwnName(password: string, names: readonly string[], field: string): void {
  if (isOwnName(password, names))
    throw ruleBroken(field, 'The password must not be the username or the email address.', {
      rule: 'own_name'
    })
}
