import type { Context } from '../../../core/access/context.ts'
import { notGrantable, ruleBroken, unknownReference } from '../../../core/errors.ts'
import { roleService } from '../roles/service.ts'

/** The roles of a user: `role` is the name of the first one. */
export interface Roles {
  role: string
  role_ids: number[]
}

/**
 * The roles that are given by name, by ID or both; of an existing user, whose roles are `before`,
 * a record that is sent back with only one of the two changed is understood. Undefined if none are
 * given. Errors: 422 for an unknown role, or a name and IDs that contradict each other; 403 for
 * roles that allow more than the caller may do.
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
