import { createHash, randomBytes } from 'node:crypto'

/** What API tokens begin with; no access token of a session does. */
export const tokenPrefix = 'sx_'

const format = /^sx_([1-9]\d{0,14})_([\w-]{43})$/

export const newSecret = () => randomBytes(32).toString('base64url')

/** What is stored of a secret, in hexadecimal. */
export const hashOfSecret = (secret: string) => createHash('sha256').update(secret).digest('hex')

/** The token that its user sends: `sx_<id>_<secret>`. */
export const formatToken = (id: number, secret: string) => `${tokenPrefix}${id}_${secret}`

/** The ID and the secret of a token; undefined for another text. */
export function parseToken(token: string): { id: number; secret: string } | undefined {
  const [, id, secret] = format.exec(token) ?? []
  return id !== undefined && secret !== undefined ? { id: Number(id), secret } : undefined
}
