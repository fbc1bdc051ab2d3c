import { randomBytes } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import { decrypt, encrypt } from '../../../core/access/encryption.ts'
import type { Services } from '../../../core/services.ts'

/** A secret as receivers get it, in the notation of Standard Webhooks. */
export const newSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`

const keyOf = ({ keyFor }: Services) => keyFor('webhooks')
const ownerOf = (organization_id: number) => JSON.stringify([organization_id])

/** Encrypts a secret for an organization. */
export const sealSecret = (services: Services, organization_id: number, secret: string): string =>
  encrypt(keyOf(services), secret, ownerOf(organization_id))

interface Message {
  id: string
  time: Date
  payload: string
}

/**
 * The headers that prove where a message comes from (Standard Webhooks), signed with each of the
 * sealed secrets of an organization. Errors: throws if all were made with another key.
 */
export function signedHeaders(
  services: Services,
  organization_id: number,
  sealed: string[],
  { id, time, payload }: Message
): Record<string, string> {
  const secrets = sealed.flatMap(one => {
    try {
      return decrypt(keyOf(services), one, ownerOf(organization_id))
    } catch {
      return []
    }
  })
  if (secrets.length === 0)
    throw new Error('The secret cannot be read, since `JWT_SECRET` was changed. Rotate it.')
  const signatures = secrets.map(secret => new Webhook(secret).sign(id, time, payload))
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(time.getTime() / 1000)),
    'webhook-signature': signatures.join(' ')
  }
}
