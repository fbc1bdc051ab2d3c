import { sql } from '../../../core/db/drizzle.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { IdentityProvider, IdentityProviderChanges, NewIdentityProvider } from './schema.ts'
import { filterable, identityProviders } from './table.ts'

export const identityProviderResource = defineResource({
  name: 'identity_provider',
  plural: 'identity_providers',
  description:
    'OpenID Connect providers by which users sign in. Managed by those with all permissions.',
  table: identityProviders,
  schema: IdentityProvider,
  create: NewIdentityProvider,
  update: IdentityProviderChanges,
  filters: ['id', ...filterable],
  sorts: ['id', ...filterable],
  hidden: ['encrypted_secret'],
  title: sql`${identityProviders.name}`,
  access: 'administration'
})
