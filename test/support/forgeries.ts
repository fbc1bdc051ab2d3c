// Access tokens that no login ever gave out, by what is wrong with them.
import { createHmac, generateKeyPairSync, sign as signWith } from 'node:crypto'

type Claims = Record<string, unknown>
type Part = object | string
interface Signing {
  header?: Part
  key?: string
  hash?: string
}

const standard = { alg: 'HS256', typ: 'at+jwt' }
const encoded = (part: Part) =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')

/** A token as the application signs them. */
function sign(payload: Part, secret: string, options: Signing = {}): string {
  const { header = standard, key = secret, hash = 'sha256' } = options
  const text = `${encoded(header)}.${encoded(payload)}`
  return `${text}.${createHmac(hash, key).update(text).digest('base64url')}`
}

export const claimsOf = (token: string): Claims =>
  JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as Claims

/** `claims` are those of a token that works, `secret` is the one that it was signed with. */
export function forgeriesOf(token: string, secret: string): Record<string, string> {
  const claims = claimsOf(token)
  const [header, payload, signature] = token.split('.') as [string, string, string]
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = publicKey.export({ type: 'spki', format: 'pem' })
  const rsa = `${encoded({ ...standard, alg: 'RS256' })}.${payload}`
  const rsaSignature = signWith('sha256', Buffer.from(rsa), privateKey).toString('base64url')
  const padded = `${Buffer.from(signature, 'base64url').toString('base64')}==`
  const stolen = { ...claims, sid: Number(claims.sid) + 1 }
  const another = sign({ ...claims, jti: 'x' }, secret).split('.')[2]
  const without = (name: string) => {
    const { [name]: _, ...rest } = claims
    return sign(rest, secret)
  }
  const withClaims = (changes: Claims) => sign({ ...claims, ...changes }, secret)
  const withHeader = (changes: object) =>
    sign(claims, secret, { header: { ...standard, ...changes } })
  return {
    'no signature': `${header}.${payload}.`,
    'no third part': `${header}.${payload}`,
    'a fourth part': `${token}.${signature}`,
    'five parts, as if encrypted': `${header}.e.${payload}.${signature}.t`,
    'a truncated signature': token.slice(0, -2),
    'the signature of another token': `${header}.${payload}.${another}`,
    'another payload': `${header}.${encoded(stolen)}.${signature}`,
    'another header': `${encoded({ ...standard, kid: '1' })}.${payload}.${signature}`,
    'algorithm none': `${encoded({ ...standard, alg: 'none' })}.${payload}.`,
    'algorithm None': `${encoded({ ...standard, alg: 'None' })}.${payload}.${signature}`,
    'algorithm HS512': sign(claims, secret, {
      header: { ...standard, alg: 'HS512' },
      hash: 'sha512'
    }),
    'algorithm HS256, signed with SHA-512': sign(claims, secret, { hash: 'sha512' }),
    'algorithm RS256': `${rsa}.${rsaSignature}`,
    'a public key as the secret': sign(claims, secret, { key: String(pem) }),
    'an empty secret': sign(claims, secret, { key: '' }),
    'another secret': sign(claims, secret, { key: 'x'.repeat(40) }),
    'the key that cursors are signed with': sign(claims, secret, {
      key: createHmac('sha256', secret).update('cursors').digest('base64')
    }),
    'no algorithm': sign(claims, secret, { header: { typ: 'at+jwt' } }),
    'another type': withHeader({ typ: 'JWT' }),
    'no type': sign(claims, secret, { header: { alg: 'HS256' } }),
    'a header that is no object': sign(claims, secret, { header: '"HS256"' }),
    'a header that is no JSON': sign(claims, secret, { header: '{' }),
    'a payload that is no JSON': sign('{', secret),
    'a payload that is a list': sign([claims], secret),
    'no expiry': without('exp'),
    'an expiry that is a text': withClaims({ exp: String(claims.exp) }),
    'no issuer': without('iss'),
    'another issuer': withClaims({ iss: 'somebody' }),
    'no audience': without('aud'),
    'another audience': withClaims({ aud: 'somebody' }),
    'no subject': without('sub'),
    'no token ID': without('jti'),
    'no session': without('sid'),
    'a session that never was': withClaims({ sid: 999_999_999 }),
    'a session that is a text': withClaims({ sid: String(claims.sid) }),
    'a session that is SQL': withClaims({ sid: '1 or 1=1' }),
    'a session that is a fraction': withClaims({ sid: Number(claims.sid) + 0.5 }),
    'a negative session': withClaims({ sid: -1 }),
    'a session that is too large': withClaims({ sid: 1e300 }),
    'a list of sessions': withClaims({ sid: [claims.sid] }),
    'valid in the future': withClaims({ nbf: 4_000_000_000 }),
    'base64 instead of base64url': `${header}.${payload}.${padded}`,
    'an API token with an unknown secret': `sx_1_${'A'.repeat(43)}`,
    'an API token without an ID': `sx__${'A'.repeat(43)}`,
    'an API token with an ID too large': `sx_99999999999999999999_${'A'.repeat(43)}`,
    'a refresh token': 'A'.repeat(43),
    'not a token': 'hello',
    'an empty object': encoded({})
  }
}

/** A token with a correct signature that has expired. */
export const expired = (token: string, secret: string): string =>
  sign({ ...claimsOf(token), exp: Math.floor(Date.now() / 1000) - 60 }, secret)
