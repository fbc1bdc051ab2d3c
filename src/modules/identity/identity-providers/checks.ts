import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { ours } from '../../../core/db/sql.ts'
import { notFound } from '../../../core/errors.ts'
import type { ProviderCheck } from './schema.ts'
import { identityProviders } from './table.ts'
import { organizationService } from '../organizations/service.ts'
import { discover, type Client } from '../sign-in/openid.ts'
import { causeOf } from '../sign-in/refusals.ts'
import { redirectUri } from '../sign-in/service.ts'

/** Whether a provider can be used, as far as its metadata tells. Errors: 404. */
export async function checkProvider(
  ctx: Context,
  public_url: string,
  id: number
): Promise<Static<typeof ProviderCheck>> {
  const [client] = await ctx.read<Client>(sql`
    select organization_id, issuer, client_id, encrypted_secret
    from ${ours(identityProviders)} where id = ${id}`)
  if (!client) throw notFound('identity provider')
  const { slug } = await organizationService.get(ctx)
  const redirect_uri = redirectUri(public_url, slug, id)
  try {
    await discover(ctx.services, client)
    return { is_working: true, fault: null, redirect_uri }
  } catch (error) {
    return { is_working: false, fault: causeOf(error), redirect_uri }
  }
}
