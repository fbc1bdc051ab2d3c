import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import {
  Access,
  type Grant,
  grantablePaths,
  groups,
  isPermission
} from '../../../core/access/permissions.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { everyRow, ours } from '../../../core/db/sql.ts'
import { conflict, notGrantable, ruleBroken, unknownReference } from '../../../core/errors.ts'
import { equal } from '../../../core/records/filter.ts'
import type { ListQuery } from '../../../core/records/list.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import { allResources, type RowOf } from '../../../core/records/resource.ts'
import { hideableFields, protectableFields } from '../../../core/records/visibility.ts'
import { identityProviders } from '../identity-providers/table.ts'
import { invitationResource } from '../invitations/resource.ts'
import { userResource } from '../users/resource.ts'
import { roleResource } from './resource.ts'
import type { NewRole, RoleChanges } from './schema.ts'
import { roles } from './table.ts'

const records = repository(roleResource)
const users = repository(userResource)
const invitations = repository(invitationResource)

export type Role = RowOf<typeof roleResource>

export const roleService = {
  ...records,

  /**
   * Creates a role. Errors: 409 for a taken name, 422 for an unknown resource or role, 403 for more
   * than the caller may do.
   */
  async create(ctx: Context, { based_on, grants, ...input }: Static<typeof NewRole>) {
    const granted = grants ?? (based_on === undefined ? [] : await grantsOf(ctx, based_on))
    assertGrants(ctx, granted)
    return await records.create(ctx, { ...input, grants: granted })
  },

  /** Changes a role and what its users may do. Errors: 404, 412, 409 if built in, 422, 403. */
  async update(ctx: Context, id: number, changes: Static<typeof RoleChanges>, versions?: Versions) {
    return await ctx.withLocks(['admins'], async ctx => {
      const before = await lockCustom(ctx, id, versions)
      if (changes.grants) assertGrants(ctx, changes.grants)
      const role = await records.update(ctx, id, changes)
      if (role.name !== before.name) await renameWhereNamed(ctx, before, role.name)
      await ctx.forgetAccess()
      return role
    })
  },

  /**
   * Deletes a role. Errors: 404, 412, 409 for a built-in one, and for one that users have, that
   * someone is invited to, or that an identity provider gives.
   */
  async remove(ctx: Context, id: number, versions?: Versions): Promise<void> {
    await ctx.withLocks(['admins'], async ctx => {
      await lockCustom(ctx, id, versions)
      const hasRole: ListQuery = {
        filters: [{ field: 'role_ids', operator: 'any', value: [id] }]
      }
      const user = await users.first(ctx, hasRole)
      if (user)
        throw conflict(
          `Users have this role, for example ${user.username}. Give them another role first.`
        )
      const invitation = await invitations.first(ctx, hasRole)
      if (invitation)
        throw conflict(
          `An open invitation for ${invitation.email} has this role. Withdraw it first.`
        )
      await assertUnmapped(ctx, id)
      await records.remove(ctx, id)
    })
  },

  /** Restores a role. Errors: 404, 409 for a taken name, 403 for more than the caller may do. */
  async restore(ctx: Context, id: number) {
    return await ctx.transaction(async ctx => {
      const role = await records.restore(ctx, id)
      assertCovers(ctx, role.grants)
      return role
    })
  },

  /** The role of this name, regardless of case. */
  async named(ctx: Context, name: string): Promise<Pick<Role, 'id' | 'name'> | undefined> {
    const [role] = await ctx.read<Pick<Role, 'id' | 'name'>>(sql`select id, name
      from ${ours(roles)} where lower(name) = lower(${name})`)
    return role
  },

  /** The roles in the order given, as far as they exist. */
  async findInOrder(ctx: Context, ids: number[]): Promise<Role[]> {
    const found = await records.find(ctx, ids)
    return found.toSorted((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id))
  },

  /** What the roles together allow, or would if they were restored. */
  async accessOf(ctx: Context, ids: number[]): Promise<Access> {
    const roles = await records.findWithDeleted(ctx, ids)
    return new Access(roles.flatMap(({ grants }) => grants))
  }
}

async function grantsOf(ctx: Context, id: number): Promise<Grant[]> {
  const [role] = await records.find(ctx, [id])
  if (!role) throw unknownReference(['based_on'])
  return role.grants
}

/** Errors: 422 for a resource that there is not, 403 for more than the caller may do. */
function assertGrants(ctx: Context, grants: readonly Grant[]): void {
  // what is only a part of other records, such as a conversion, goes by their rights
  const parts = new Set(allResources().flatMap(({ path, schema }) => (schema ? [] : [path])))
  const known = [...groups, ...grantablePaths().filter(path => !parts.has(path))]
  const unknown = grants.findIndex(({ resource }) => !known.includes(resource))
  if (unknown >= 0)
    throw ruleBroken(
      `grants/${unknown}/resource`,
      `There is no resource ${grants[unknown]!.resource}. Use one of ${known.join(', ')}.`,
      { rule: 'resource', allowed: known }
    )
  for (const [i, grant] of grants.entries()) {
    assertActions(grant, `grants/${i}/actions`)
    const resource = allResources().find(({ path }) => path === grant.resource)
    const pointer = `grants/${i}`
    const hideable = resource && hideableFields(resource)
    assertFields(`${pointer}/hidden_fields`, grant.hidden_fields, hideable)
    const protectable = resource && protectableFields(resource)
    assertFields(`${pointer}/read_only_fields`, grant.read_only_fields, protectable)
  }
  assertCovers(ctx, grants)
}

/** Errors: 422 for an action that a resource does not have, such as a change of the audit log. */
function assertActions({ resource, actions }: Grant, pointer: string): void {
  if (groups.some(group => group === resource)) return
  const unknown = actions.findIndex(action => !isPermission(`${resource}:${action}`))
  if (unknown >= 0)
    throw ruleBroken(`${pointer}/${unknown}`, `There is no ${resource}:${actions[unknown]!}.`, {
      rule: 'action'
    })
}

/** Errors: 422 for a field that is not among `allowed`; none are, if a group was named. */
function assertFields(pointer: string, fields: string[] = [], allowed: string[] = []): void {
  const unknown = fields.findIndex(field => !allowed.includes(field))
  if (unknown < 0) return
  const detail =
    allowed.length > 0
      ? `${fields[unknown]!} cannot be restricted. Use any of ${allowed.join(', ')}.`
      : 'Only single resources that people work with, such as contacts, have rights to fields.'
  throw ruleBroken(`${pointer}/${unknown}`, detail, { rule: 'field', allowed })
}

/** Errors: 403 for more than the caller may do. */
function assertCovers(ctx: Context, grants: readonly Grant[]): void {
  if (!ctx.principal.access.covers(new Access(grants))) throw notGrantable()
}

/**
 * A role that is not built in, and that nobody else changes. Errors: 404, 412, 409, 403 for one
 * that allows more than the caller may do.
 */
async function lockCustom(ctx: Context, id: number, versions: Versions): Promise<Role> {
  const role = await records.lock(ctx, id, versions)
  if (role.is_built_in)
    throw conflict(
      'Built-in roles cannot be changed. Create a role that is based on one (`based_on`).'
    )
  assertCovers(ctx, role.grants)
  return role
}

/** Errors: 409 for a role that an identity provider gives to users. */
async function assertUnmapped(ctx: Context, id: number): Promise<void> {
  const provider = await ctx.one<{ name: string }>(sql`select name
    from ${everyRow(identityProviders)}
    where default_role_id = ${id}
      or role_mapping @> ${JSON.stringify([{ role_id: id }])}::text::jsonb`)
  if (provider)
    throw conflict(`The identity provider ${provider.name} gives this role. Change it first.`)
}

/** Users have the name of their first role, invitations that of theirs. */
async function renameWhereNamed(ctx: Context, role: Role, name: string): Promise<void> {
  for (const records of [users, invitations])
    for await (const found of records.stream(ctx, { filters: equal({ role: role.name }) }))
      await records.updateMany(
        ctx,
        found.map(({ id }) => ({ id, role: name }))
      )
}
