import type { Test } from 'tap'

/** Headers that every response has. */
export const expectedHeaders: Record<string, string | RegExp> = {
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'x-xss-protection': '1; mode=block',
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
  'content-security-policy': /^default-src 'self'/,
  'x-request-id': /^[A-Za-z0-9_-]{8,64}$/
}

export type Headers = Record<string, unknown>

export function assertHeaders(t: Test, status: number, headers: Headers, what: string): void {
  for (const [name, value] of Object.entries(expectedHeaders))
    t.match(headers[name], value, `${what} (${status}) has ${name}`)
}
