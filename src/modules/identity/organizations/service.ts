import { Context, type Services } from '../../../core/access/context.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { organization, rowsOf } from '../../../core/db/sql.ts'
import { userService } from '../users/service.ts'
import { organizations } from './table.ts'

/** An organization as its members see it. */
export interface Organization {
  id: number
  name: string
  slug: string
}

export interface FirstAdmin {
  username: string
  email: string
  password: string
}

/** What a new organization starts with besides its admin; within the transaction of `ctx`. */
export type Provision = (ctx: Context) => Promise<void>

export const organizationService = {
  /** The organization of the caller. */
  async get(ctx: Context): Promise<Organization> {
    const [found] = await ctx.read<Organization>(
      sql`select id, name, slug from ${organizations} where id = ${organization}`
    )
    return found!
  },

  /** Creates an organization with its first admin. */
  async create(
    services: Services,
    name: string,
    admin: FirstAdmin,
    provision: Provision
  ): Promise<Organization> {
    const ctx = await newContext(services)
    return await ctx.transaction(async ctx => {
      await insert(ctx, name, admin, provision)
      return await organizationService.get(ctx)
    })
  },

  /**
   * The same, unless there is an organization already; of processes that start together one
   * creates it. Returns whether this one did.
   */
  async createFirst(
    services: Services,
    name: string,
    admin: FirstAdmin,
    provision: Provision
  ): Promise<boolean> {
    const ctx = await newContext(services)
    return await ctx.transaction(async ctx => {
      await ctx.rows(sql`select pg_advisory_xact_lock(hashtext('first organization'))`)
      const existing = await ctx.one(sql`select from ${organizations} limit 1`)
      if (existing) return false
      await insert(ctx, name, admin, provision)
      return true
    })
  }
}

/** A context of the system for an organization that is about to be created. */
async function newContext(services: Services): Promise<Context> {
  const { database } = services
  const [next] = await rowsOf<{ id: number }>(
    database,
    database.pool,
    sql`select nextval(pg_get_serial_sequence('organizations', 'id')) as id`
  )
  return Context.system(services, next!.id)
}

async function insert(
  ctx: Context,
  name: string,
  admin: FirstAdmin,
  provision: Provision
): Promise<void> {
  await ctx.rows(sql`insert into ${organizations} (id, name) overriding system value
    values (${ctx.organization_id}, ${name})`)
  await userService.createUnchecked(ctx, { ...admin, role: 'admin' })
  await provision(ctx)
}
