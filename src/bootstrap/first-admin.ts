import { randomBytes } from 'node:crypto'
import type { Config } from '../config.ts'
import type { Services } from '../core/services.ts'
import { createFirstOrganization } from './organizations.ts'

export const generatePassword = () => randomBytes(12).toString('base64url')

/**
 * Creates the first organization and its admin, once, however many processes start. `created`:
 * whether this process did; `generated`: the admin's password, if it was generated.
 */
export async function createFirstAdmin(
  services: Services,
  { username, email, password }: Config['admin']
): Promise<{ created: boolean; generated: string | undefined }> {
  const generated = generatePassword()
  const admin = { username, email, password: password ?? generated }
  const created = await createFirstOrganization(services, 'SmartX', admin)
  return { created, generated: created && password === undefined ? generated : undefined }
}
