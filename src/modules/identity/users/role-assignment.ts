import type { Context } from '../../../core/access/context.ts'
import type { Access } from '../../../core/access/permissions.ts'
import { notGrantable, ruleBroken, unknownReference } from '../../../core/errors.ts'
import { roleService } from '../roles/service.ts'

/** The roles of a user: `role` is the name of the first one. */
export interface Roles {
  role: string
  role_ids: number[]
}

/**
 * The new roles of a user, by name, by ID or both. Values that are those of `before` are ignored.
 * If only one of `role` and `role_ids` has changed, it counts; if both have, `role` must be the
 * first of `role_ids`. Undefined if nothing has changed. Errors: 422 for an unknown role, or if the
 * two contradict each other; 403 for roles that allow more than the caller may do.
 */
export async function rolesFor(
  ctx: Context,
  { role, role_ids }: Partial<Roles>,
  before?: Roles
): Promise<Roles | undefined> {
  const name = role === before?.role ? undefined : role
  const ids = isSame(role_ids, before?.role_ids) ? undefined : role_ids
  if (name === undefined && ids === undefined) return undefined
  const roles = ids === undefined ? [await findNamed(ctx, name!)] : await findAll(ctx, ids)
  const first = roles[0]!
  if (name !== undefined && name.toLowerCase() !== first.name.toLowerCase())
    throw ruleBroken('role', 'The role must be the first one of role_ids.', {
      rule: 'first_role',
      fields: ['role', 'role_ids']
    })
  const given = roles.map(({ id }) => id)
  await assertCovered(ctx, given)
  return { role: first.name, role_ids: given }
}

/**
 * For what lets the caller act as another user: a password, a token. Errors: 403 if that user
 * reaches what the caller does not.
 */
export function assertMayActAs(ctx: Context, user_id: number, access: Access): void {
  if (user_id !== ctx.user_id && !ctx.principal.access.coversRecordsOf(access)) throw notGrantable()
}

/** Errors: 403 if these roles allow more than the caller may do. */
export async function assertCovered(ctx: Context, role_ids: number[]): Promise<void> {
  const access = await roleService.accessOf(ctx, role_ids)
  if (!ctx.principal.access.covers(access)) throw notGrantable()
}

const isSame = (a: number[] | undefined, b: number[] | undefined) => a?.join() === b?.join()

async function findNamed(ctx: Context, name: string) {
  const role = await roleService.named(ctx, name)
  if (!role) throw unknownReference(['role'])
  return role
}

async function findAll(ctx: Context, ids: number[]) {
  const found = new Map((await roleService.find(ctx, ids)).map(role => [role.id, role]))
  const unknown = ids.flatMap((id, i) => (found.has(id) ? [] : [`role_ids/${i}`]))
  if (unknown.length > 0) throw unknownReference(unknown)
  return ids.map(id => found.get(id)!)
}
