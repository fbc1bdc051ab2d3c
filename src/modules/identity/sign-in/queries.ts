import type { SQL } from 'drizzle-orm'
import type { Services } from '../../../core/services.ts'
import { sql } from '../../../core/db/drizzle.ts'
import {
  acrossOrganizations,
  organization,
  ours,
  oursWithDeleted,
  rowsOf
} from '../../../core/db/sql.ts'
import type { VerifiedUser } from '../auth/queries.ts'
import { identityProviders, type RoleMapping } from '../identity-providers/table.ts'
import { organizations } from '../organizations/table.ts'
import { users } from '../users/table.ts'
import { externalIdentities, signInCodes, signIns } from './table.ts'

// There is no context before the organization is known: some of these find it out.

/** A provider that users can sign in with. */
export interface Provider {
  organization_id: number
  id: number
  version: number
  issuer: string
  client_id: string
  encrypted_secret: string
  scopes: string[]
  allowed_domains: string[]
  trusts_email: boolean
  role_claim: string | null
  role_mapping: RoleMapping[]
  default_role_id: number | null
}

const activeProviders = sql`(select * from ${acrossOrganizations(identityProviders)}
  where deleted_at is null and is_active) provider`

/** The active providers of the organization of a slug, the oldest first. */
export const findProviders = async (
  { database }: Services,
  slug: string
): Promise<(Provider & { name: string })[]> =>
  await rowsOf(
    database,
    database.point,
    sql`select provider.* from ${activeProviders}
      join ${organizations} o on o.id = provider.organization_id
      where o.slug = ${slug} order by provider.id limit 50`
  )

/** An active provider. */
export async function findProvider(
  { database }: Services,
  organization_id: number,
  id: number
): Promise<Provider | undefined> {
  const [provider] = await rowsOf<Provider>(
    database,
    database.point,
    sql`select * from ${activeProviders}
      where organization_id = ${organization_id} and id = ${id}`
  )
  return provider
}

/** Where a sign-in was started, and how it ends. */
export interface Started {
  organization_id: number
  provider_id: number
  return_to: string
  code_challenge: string
}

/** Begins a sign-in. */
export const insertSignIn = (
  { organization_id, provider_id, return_to, code_challenge }: Started,
  state_hash: string,
  browser_hash: string
): SQL => sql`
  insert into ${signIns}
    (hash, browser_hash, organization_id, provider_id, return_to, code_challenge)
  values (${state_hash}, ${browser_hash}, ${organization_id}, ${provider_id}, ${return_to},
    ${code_challenge})`

/** Takes a sign-in with this provider and browser: nobody can take it again. */
export const takeSignIn = (
  state_hash: string,
  browser_hash: string,
  provider_id: number
): SQL => sql`
  delete from ${acrossOrganizations(signIns)}
  where hash = ${state_hash} and browser_hash = ${browser_hash} and provider_id = ${provider_id}
    and expires_at > now()
  returning organization_id, provider_id, return_to, code_challenge`

/** Adds a one-time code, unless the provider has changed meanwhile: then it returns nothing. */
export const insertCode = (
  { code_challenge }: Started,
  provider: Provider,
  user_id: number,
  code_hash: string
): SQL => sql`
  with provider as (${lockUnchanged(provider)})
  insert into ${signInCodes} (hash, organization_id, provider_id, user_id, code_challenge)
  select ${code_hash}, ${organization}, id, ${user_id}, ${code_challenge} from provider
  returning hash`

/**
 * Takes a one-time code, and returns with what a session of its user starts; nothing if the user or
 * the provider is not active any more.
 */
export async function takeCode(
  { database }: Services,
  code_hash: string,
  code_challenge: string
): Promise<(VerifiedUser & { provider_id: number }) | undefined> {
  const [credentials] = await rowsOf<VerifiedUser & { provider_id: number }>(
    database,
    database.pool,
    sql`with taken as (
        delete from ${acrossOrganizations(signInCodes)}
        where hash = ${code_hash} and code_challenge = ${code_challenge} and expires_at > now()
        returning organization_id, provider_id, user_id
      )
      select u.organization_id, u.id, u.password_hash, taken.provider_id from taken
      join ${acrossOrganizations(users)} u
        on u.organization_id = taken.organization_id and u.id = taken.user_id
      join ${activeProviders} on provider.organization_id = taken.organization_id
        and provider.id = taken.provider_id
      where u.deleted_at is null and u.status = 'active' and u.kind = 'person'`
  )
  return credentials
}

/** A user, deleted or not, as far as a sign-in needs to know. */
export interface Account {
  id: number
  role_ids: number[]
  is_deleted: boolean
  may_sign_in: boolean
}

const account = sql`u.id, u.role_ids, u.deleted_at is not null as is_deleted,
  u.deleted_at is null and u.status = 'active' and u.kind = 'person' as may_sign_in`

/** A provider, if it is still as it was when it was asked. */
const unchanged = ({ id, version }: Provider): SQL => sql`
  select id from ${ours(identityProviders)}
  where id = ${id} and version = ${version} and is_active`

/** The same; nobody changes it until the transaction has ended. */
export const lockUnchanged = (provider: Provider): SQL => sql`${unchanged(provider)} for share`

/** Notes that an identity is used, and returns its user. */
export const useIdentity = (
  provider: Provider,
  { subject, email }: { subject: string; email: string }
): SQL => sql`
  update ${externalIdentities} i set last_used_at = now(), email = ${email}
  from ${oursWithDeleted(users, 'u')}
  where i.organization_id = ${organization} and i.provider_id = ${provider.id}
    and i.subject = ${subject} and u.id = i.user_id and exists (${unchanged(provider)})
  returning ${account}`

/** The user of an email address. */
export interface Existing extends Account {
  /** Whether another identity of the provider is theirs. */
  is_linked: boolean
}

export const accountOf = (provider_id: number, email: string): SQL => sql`
  select ${account}, exists (
    select from ${ours(externalIdentities, 'i')}
    where i.user_id = u.id and i.provider_id = ${provider_id}) as is_linked
  from ${ours(users, 'u')} where email_key(u.email) = email_key(${email})`

/** Links an identity to a user, also one that was linked to a user who is deleted now. */
export const insertIdentity = (
  provider_id: number,
  user_id: number,
  { subject, email }: { subject: string; email: string }
): SQL => sql`
  insert into ${externalIdentities} (organization_id, provider_id, user_id, subject, email)
  values (${organization}, ${provider_id}, ${user_id}, ${subject}, ${email})
  on conflict (organization_id, provider_id, subject) do update set
    user_id = excluded.user_id, email = excluded.email, created_at = now()`

/** The identities of a user, the oldest first. */
export const identitiesOf = (user_id: number): SQL => sql`
  select i.id, i.provider_id, p.name as provider, i.email, i.created_at, i.last_used_at
  from ${ours(externalIdentities, 'i')}
  join ${oursWithDeleted(identityProviders, 'p')} on p.id = i.provider_id
  where i.user_id = ${user_id} order by i.id`

/** Whether a user can sign in with an identity. */
export const hasUsableIdentity = (user_id: number): SQL => sql`
  select from ${ours(externalIdentities, 'i')}
  join ${ours(identityProviders, 'p')} on p.id = i.provider_id and p.is_active
  where i.user_id = ${user_id} limit 1`

/** Unlinks identities of a user: one, or all. Returns their IDs. */
export const deleteIdentities = (user_id: number, only: number | null): SQL => sql`
  delete from ${externalIdentities}
  where organization_id = ${organization} and user_id = ${user_id}
    and id = coalesce(${only}::bigint, id)
  returning id`

/**
 * Unlinks the users of a provider, and ends the sign-ins that have begun with it. Returns the IDs
 * of the identities.
 */
export const forgetUsersOf = (provider_id: number): SQL => sql`
  with begun as (
    delete from ${signIns}
    where organization_id = ${organization} and provider_id = ${provider_id}
  ), ended as (
    delete from ${signInCodes}
    where organization_id = ${organization} and provider_id = ${provider_id}
  )
  delete from ${externalIdentities}
  where organization_id = ${organization} and provider_id = ${provider_id}
  returning id`
