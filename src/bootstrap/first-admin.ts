import { randomBytes } from 'node:crypto'
import type { Config } from '../config.ts'
import type { House } from '../core/access/context.ts'
import * as organizations from '../modules/identity/organizations/service.ts'

export const makeUpPassword = () => randomBytes(12).toString('base64url')

/**
 * Makes the first organisation and its admin, once however many processes start. `made`: it was here that they were made;
 * `made_up`: the admin's password, if it was made up for them.
 */
export async function welcome(
  house: House,
  { username, email, password }: Config['admin']
): Promise<{ made: boolean; made_up: string | undefined }> {
  const made_up = makeUpPassword()
  const made = await organizations.createFirst(house, 'SmartX', {
    username,
    email,
    password: password ?? made_up
  })
  return { made, made_up: made && password === undefined ? made_up : undefined }
}
