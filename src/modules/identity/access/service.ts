import { Context } from '../../../core/access/context.ts'
import { Access, type Action } from '../../../core/access/permissions.ts'
import { everyRow, reached } from '../../../core/db/sql.ts'
import { getTableName, sql } from '../../../core/db/drizzle.ts'
import { invalidParameter, notFound } from '../../../core/errors.ts'
import { equal } from '../../../core/records/filter.ts'
import { repository } from '../../../core/records/repository.ts'
import { allResources, referencesOf, type Resource } from '../../../core/records/resource.ts'
import { teamResource } from '../../automation/teams/resource.ts'
import { authService } from '../auth/service.ts'
import { roleService, type Role } from '../roles/service.ts'
import { shareResource } from '../shares/resource.ts'
import { userService } from '../users/service.ts'
import type { reasons } from './schema.ts'

interface Question {
  type: string
  action: Action
  id?: number
  user_id?: number
}

interface Reason {
  kind: (typeof reasons)[number]
  id: number
  name: string
}

export interface Explanation {
  allowed: boolean
  decided_by: Reason | null
}

/**
 * Whether a user may do something to a record, and what decides that. Everyone may ask about
 * themselves, and learns nothing of records that they cannot read. Errors: 400 for an unknown type,
 * 403 about others without the permission to read users, 404 for a user who is not active.
 */
export async function explainAccess(
  ctx: Context,
  { type, action, id, user_id = ctx.user_id! }: Question
): Promise<Explanation> {
  if (user_id !== ctx.user_id) ctx.require('users:read')
  const resource = allResources().find(({ name, schema }) => schema && name === type)
  if (!resource) throw invalidParameter('type', `There is no type ${type}.`, { value: type })
  const { services, organization_id } = ctx
  const principal = await authService.principalOfUser(services, organization_id, user_id)
  if (!principal) throw notFound('active user')
  const as = new Context(services, principal)
  const { role_ids } = await userService.get(ctx.unlimited, user_id)
  const roles = await roleService.findInOrder(ctx, role_ids)
  const permission = `${resource.path}:${action}`
  const reach = as.principal.access.reachOf(permission)
  const widest = roles.find(({ grants }) => new Access(grants).reachOf(permission) === reach)
  const byRole = roleReason(widest ?? roles[0])
  if (id === undefined || reach === undefined)
    return { allowed: reach !== undefined, decided_by: byRole }
  const allowed = await reachesRecord(as, resource, action, id)
  const isByRole = !allowed || reach === 'all'
  return { allowed, decided_by: isByRole ? byRole : await reasonFor(as, resource, id) }
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
    where id = ${id} and ${reached(action === 'export' ? 'read' : action, name)}`)
  return row !== undefined
}

/** Why a record is within a reach that is not all. */
async function reasonFor(ctx: Context, resource: Resource, id: number): Promise<Reason | null> {
  const all = ctx.unlimited
  const [found] = await repository(resource).findWithDeleted(all, [id])
  const row = found as unknown as Record<string, unknown>
  const parent = referencesOf(resource).find(({ column }) => column.name === resource.membershipIn)
  if (parent) return await reasonFor(ctx, parent.to, row[parent.column.name] as number)
  const owners = new Set([row.created_by, row.assigned_to])
  if (owners.has(ctx.user_id)) {
    const user = await userService.get(all, ctx.user_id!)
    return { kind: 'owner', id: user.id, name: user.username }
  }
  const teams = await repository(teamResource).find(all, ctx.principal.team_ids)
  const team = teams.find(({ leader_id, member_ids }) =>
    [leader_id, ...member_ids].some(member => owners.has(member))
  )
  if (team) return { kind: 'team', id: team.id, name: team.name }
  return await shareFor(ctx, resource, id)
}

async function shareFor(ctx: Context, { name }: Resource, id: number): Promise<Reason | null> {
  const { data } = await repository(shareResource).list(ctx.unlimited, {
    filters: equal({ subject_type: name, subject_id: id }),
    limit: 200
  })
  const { user_id, principal } = ctx
  const share = data.find(
    share => share.user_id === user_id || principal.team_ids.includes(share.team_id ?? 0)
  )
  return share ? { kind: 'share', id: share.id, name: share.access } : null
}
