import type { Static } from '@sinclair/typebox'
import { Context } from '../../../core/access/context.ts'
import { Access, type Action, type Reach } from '../../../core/access/permissions.ts'
import { ownersOf } from '../../../core/access/reach.ts'
import { everyRow, reached } from '../../../core/db/sql.ts'
import { getTableName, sql } from '../../../core/db/drizzle.ts'
import { invalidParameter, notFound } from '../../../core/errors.ts'
import { equal } from '../../../core/records/filter.ts'
import { repository } from '../../../core/records/repository.ts'
import { referencesOf, resourceNamed, type Resource } from '../../../core/records/resource.ts'
import { teamResource } from '../../automation/teams/resource.ts'
import { apiTokenService } from '../api-tokens/service.ts'
import { authService } from '../auth/service.ts'
import { roleService, type Role } from '../roles/service.ts'
import { shareResource } from '../shares/resource.ts'
import { userService } from '../users/service.ts'
import type { AccessExplanation, accessQuery } from './schema.ts'

type Question = Static<ReturnType<typeof accessQuery>>
type Explanation = Static<typeof AccessExplanation>
type Reason = NonNullable<Explanation['decided_by']>

/**
 * Whether a user may do something to a record, and what decides that. Everyone may ask about
 * themselves, and learns nothing of records that they cannot read. Errors: 400 for the ID of a
 * record that is to be created; about others, 403 without the permission to read users, 404 for a
 * user who is not active or a record that the caller cannot read.
 */
export async function explainAccess(
  ctx: Context,
  { type, action, id, user_id = ctx.user_id! }: Question
): Promise<Explanation> {
  if (action === 'create' && id !== undefined)
    throw invalidParameter('id', 'A record that is to be created has no `id`.')
  const resource = resourceNamed(type)
  const as = user_id === ctx.user_id ? ctx : await contextOf(ctx, user_id)
  // who may not read a record does not learn what others may do to it
  if (as !== ctx && id !== undefined && !(await reachesRecord(ctx, resource, 'read', id)))
    throw notFound(resource.label)
  const permission = `${resource.path}:${action}`
  const reach = as.principal.access.reachOf(permission)
  const byRole = await roleFor(ctx, user_id, permission)
  const { token } = as.principal
  const rights = { reach: reach ?? null, ...fieldRights(as, resource) }
  if (reach === undefined) {
    const refusal = token ? await tokenReason(ctx, token.id) : byRole
    return { allowed: false, decided_by: refusal, ...rights }
  }
  if (id === undefined) return { allowed: true, decided_by: byRole, ...rights }
  const allowed = await reachesRecord(as, resource, action, id)
  const isByRole = !allowed || reach === 'all'
  const reason = isByRole ? undefined : await reasonFor(as, resource, id, { reach, action })
  return { allowed, decided_by: reason ?? byRole, ...rights }
}

/** The fields of a resource that someone does not see, and those that they cannot change. */
function fieldRights(as: Context, { path }: Resource) {
  const hidden = as.hiddenFields(path)
  const readOnly = as.principal.access.readOnlyFields(`${path}:update`)
  return {
    hidden_fields: [...hidden].toSorted(),
    read_only_fields: [...readOnly.difference(hidden)].toSorted()
  }
}

/** The context of another user. Errors: 403 without the right to see users, 404. */
async function contextOf(ctx: Context, user_id: number): Promise<Context> {
  ctx.require('users:read')
  const { services, organization_id } = ctx
  const principal = await authService.principalOfUser(services, organization_id, user_id)
  if (!principal) throw notFound('active user')
  return new Context(services, principal)
}

async function tokenReason(ctx: Context, id: number): Promise<Reason> {
  const { name } = await apiTokenService.get(ctx.unlimited, id)
  return { kind: 'scope', id, name }
}

/** The role of a user that reaches farthest with a permission; the first one if none has it. */
async function roleFor(ctx: Context, user_id: number, permission: string): Promise<Reason | null> {
  const { role_ids } = await userService.get(ctx.unlimited, user_id)
  const roles = await roleService.findInOrder(ctx.unlimited, role_ids)
  const all = new Access(roles.flatMap(({ grants }) => grants)).reachOf(permission)
  const widest = roles.find(({ grants }) => new Access(grants).reachOf(permission) === all)
  return roleReason(widest ?? roles[0])
}

const roleReason = (role: Role | undefined): Reason | null =>
  role ? { kind: 'role', id: role.id, name: role.name } : null

/** By the predicate that all statements use. */
async function reachesRecord(
  ctx: Context,
  { table }: Resource,
  action: Action,
  id: number
): Promise<boolean> {
  const name = getTableName(table)
  const [row] = await ctx.read(sql`select from ${everyRow(table)}
    where id = ${id} and ${reached(action, name)}`)
  return row !== undefined
}

interface Within {
  reach: Reach
  action: Action
}

/** Why a record is within a reach that is not all. */
async function reasonFor(
  ctx: Context,
  resource: Resource,
  id: number,
  within: Within
): Promise<Reason | undefined> {
  const all = ctx.unlimited
  const [found] = await repository(resource).findWithDeleted(all, [id])
  const row = found as unknown as Record<string, unknown>
  const parent = referencesOf(resource).find(({ column }) => column.name === resource.membershipIn)
  if (parent) return await reasonFor(ctx, parent.to, row[parent.column.name] as number, within)
  const owners = new Set(ownersOf(getTableName(resource.table)).map(column => row[column]))
  owners.delete(null)
  if (owners.has(ctx.user_id)) {
    const user = await userService.get(all, ctx.user_id!)
    return { kind: 'owner', id: user.id, name: user.username }
  }
  const team_ids = within.reach === 'team' ? ctx.principal.team_ids : []
  const teams = await repository(teamResource).find(all, team_ids)
  const team = teams.find(({ leader_id, member_ids }) =>
    [leader_id, ...member_ids].some(member => owners.has(member))
  )
  if (team) return { kind: 'team', id: team.id, name: team.name }
  return await shareFor(ctx, resource, id, within.action)
}

async function shareFor(
  ctx: Context,
  { name }: Resource,
  id: number,
  action: Action
): Promise<Reason | undefined> {
  const { data } = await repository(shareResource).list(ctx.unlimited, {
    filters: equal({ subject_type: name, subject_id: id }),
    limit: 200
  })
  const { user_id, principal } = ctx
  const share = data.find(
    share =>
      (share.user_id === user_id || principal.team_ids.includes(share.team_id ?? 0)) &&
      (action === 'read' || action === 'export' || share.access === 'write')
  )
  return share && { kind: 'share', id: share.id, name: share.access }
}
