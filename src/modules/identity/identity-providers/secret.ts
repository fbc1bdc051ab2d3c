import type { Services } from '../../../core/services.ts'
import { decrypt, encrypt } from '../../../core/access/encryption.ts'

/** Whom a client secret is for: it is sent to nobody else. */
export interface Client {
  organization_id: number
  issuer: string
  client_id: string
}

const keyOf = ({ keyFor }: Services) => keyFor('identity providers')
const ownerOf = ({ organization_id, issuer, client_id }: Client) =>
  JSON.stringify([organization_id, issuer, client_id])

/**
 * Encrypts a client secret for one issuer: nobody gets it by changing the issuer to a server of
 * their own.
 */
export const sealSecret = (services: Services, client: Client, secret: string): string =>
  encrypt(keyOf(services), secret, ownerOf(client))

/** Errors: throws for a secret that is that of another client or was made with another key. */
export const openSecret = (services: Services, client: Client, sealed: string): string =>
  decrypt(keyOf(services), sealed, ownerOf(client))
