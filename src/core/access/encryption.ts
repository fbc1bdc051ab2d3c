import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hash,
  randomBytes,
  type KeyObject
} from 'node:crypto'
import { LRUCache } from 'lru-cache'

const algorithm = 'aes-256-gcm'
const nonceLength = 12
const tagLength = 16

/** What was made of keys, which are few: to make it takes longer than to encrypt. */
const known = new LRUCache<string, KeyObject>({ max: 100 })

/** A key of 32 bytes for a key of any length. */
function keyOf(key: string): KeyObject {
  const made = known.get(key) ?? createSecretKey(hash('sha256', key, 'buffer'))
  known.set(key, made)
  return made
}

/**
 * Encrypts a secret that has to be read again, such as that of an identity provider. `key` is that
 * of one purpose; `owner` names the row it belongs to: in another row it cannot be decrypted.
 * Returns base64url of the nonce, the authentication tag and the encrypted text.
 */
export function encrypt(key: string, text: string, owner: string): string {
  const nonce = randomBytes(nonceLength)
  const cipher = createCipheriv(algorithm, keyOf(key), nonce).setAAD(Buffer.from(owner))
  const encrypted = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), encrypted]).toString('base64url')
}

/**
 * The text that `encrypt` was given. Errors: throws if it was encrypted with another key or for
 * another row, or has been changed since.
 */
export function decrypt(key: string, encrypted: string, owner: string): string {
  const bytes = Buffer.from(encrypted, 'base64url')
  const nonce = bytes.subarray(0, nonceLength)
  const decipher = createDecipheriv(algorithm, keyOf(key), nonce, { authTagLength: tagLength })
    .setAAD(Buffer.from(owner))
    .setAuthTag(bytes.subarray(nonceLength, nonceLength + tagLength))
  const text = decipher.update(bytes.subarray(nonceLength + tagLength), undefined, 'utf8')
  return text + decipher.final('utf8')
}
