import { randomBytes } from 'node:crypto'
import type { Config } from '../config.ts'
import type { Services } from '../core/access/context.ts'
import * as organizations from '../modules/identity/organizations/service.ts'

export const generatePassword = () => randomBytes(12).toString('base64url')

/**
 * Makes the first organisation and its admin, once however many processes start. `made`: it was here that they were made;
 * `generated`: the admin's password, if it was made up for them.
 */
export async function createFirstAdmin(
  services: Services,
  { username, email, password }: Config['admin']
): Promise<{ made: boolean; generated: string | undefined }> {
  const generated = generatePassword()
  const made = await organizations.createFirst(services, 'SmartX', {
    username,
    email,
    password: password ?? generated
  })
  return { made, generated: made && password === undefined ? generated : undefined }
}
