import { randomBytes } from 'node:crypto'
import type { Config } from './config.ts'
import type { House } from './kit/context.ts'
import * as organizations from './resources/organizations/service.ts'

/** Makes the first organisation and its admin, once however many processes start. Returns the password if it was made up here. */
export async function welcome (house: House, { username, email, password }: Config['admin']): Promise<string | undefined> {
  const made_up = randomBytes(12).toString('base64url')
  const made = await organizations.createFirst(house, 'SmartX', { username, email, password: password ?? made_up })
  return made && password === undefined ? made_up : undefined
}
