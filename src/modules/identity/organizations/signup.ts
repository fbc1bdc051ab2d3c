import type { Static } from '@sinclair/typebox'
import { Context } from '../../../core/access/context.ts'
import type { Origin } from '../../../core/access/principal.ts'
import type { Services } from '../../../core/services.ts'
import { assertNotOwnName, assertUncommon } from '../../../core/access/passwords.ts'
import { conflict } from '../../../core/errors.ts'
import type { VerifiedUser } from '../auth/queries.ts'
import { startSession, type Login } from '../auth/service.ts'
import { tooManySignupsFrom } from '../auth/throttle.ts'
import { credentialsOf } from '../users/queries.ts'
import type { NewOrganization } from './signup-schema.ts'
import { organizationService, type Organization, type Provision } from './service.ts'

/**
 * Creates an organization with its first admin, who is then logged in. Errors: 422 for an
 * unacceptable password or a setting that does not exist, 429 after too many from one address, 503.
 */
export async function signUp(
  services: Services,
  { admin, ...settings }: Static<typeof NewOrganization>,
  origin: Origin,
  provision: Provision
): Promise<{ organization: Organization; login: Login }> {
  const { email, password, username = email } = admin
  await assertUncommon(password, 'admin/password')
  assertNotOwnName(password, [username, email], 'admin/password')
  const refusal = await tooManySignupsFrom(services, origin.address)
  if (refusal) throw refusal
  const account = { ...admin, username }
  const { organization, admin_id } = await organizationService.create(
    services,
    settings,
    account,
    provision
  )
  const ctx = Context.system(services, organization.id)
  const [credentials] = await ctx.read<VerifiedUser>(credentialsOf(admin_id))
  const login = await startSession(services, credentials!, origin)
  if (!login) throw conflict('The user was changed meanwhile.')
  return { organization, login }
}
