/** What API tokens begin with; no access token of a session does. */
export const tokenPrefix = 'sx_'

const format = /^sx_([1-9]\d{0,14})_([\w-]{43})$/

/** The token that its user sends: `sx_<id>_<secret>`. */
export const formatToken = (id: number, secret: string) => `${tokenPrefix}${id}_${secret}`

/** The ID and the secret of a token; undefined for another text. */
export function parseToken(token: string): { id: number; secret: string } | undefined {
  const [, id, secret] = format.exec(token) ?? []
  return id !== undefined && secret !== undefined ? { id: Number(id), secret } : undefined
}
