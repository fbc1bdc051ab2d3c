import type { SQL } from 'drizzle-orm'
import { sql } from '../../../core/db/drizzle.ts'
import { acrossOrganizations } from '../../../core/db/sql.ts'
import { roles } from '../roles/table.ts'
import { identityProviders } from './table.ts'

/**
 * The condition that someone cannot log in with a password: a provider is enforced for the domain
 * of the email address, and they are no admin. `who`: the alias of users, or of invitations.
 */
export const mustSignIn = (who: SQL): SQL => sql`(exists (
    select from ${acrossOrganizations(identityProviders)} provider
    where provider.organization_id = ${who}.organization_id and provider.deleted_at is null
      and provider.is_active and provider.enforce
      and substring(email_key(${who}.email) from '[^@]*$') = any(provider.allowed_domains))
  and not exists (
    select from ${acrossOrganizations(roles)} role
    where role.organization_id = ${who}.organization_id and role.id = any(${who}.role_ids)
      and role.is_built_in and role.name = 'admin'))`
