import { Context } from '../core/access/context.ts'
import { defined } from '../core/defined.ts'
import type { JobPayload } from '../core/jobs.ts'
import type { Services } from '../core/services.ts'
import { authService } from '../modules/identity/auth/service.ts'

/** The system in the name of a job's author. */
export const systemOf = (
  services: Services,
  { organization_id, user_id, origin }: JobPayload
): Context => Context.system(services, organization_id, user_id, origin)

/** The context of a job's author with their present rights, unless they lost the permission. */
export async function asAuthor(
  system: Context,
  permission: string,
  api_token_id: number | undefined
): Promise<Context | undefined> {
  const { user_id } = system
  if (user_id === null) return system
  const author = { user_id, ...defined({ api_token_id }) }
  return await authService.contextOfAuthor(system, author, permission)
}
