import type { Static } from '@sinclair/typebox'
import { Context } from '../../../core/access/context.ts'
import type { Services } from '../../../core/services.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { organization, rowsOf } from '../../../core/db/sql.ts'
import { defined } from '../../../core/defined.ts'
import { inPart, ruleBroken, stale } from '../../../core/errors.ts'
import { recordAccess } from '../../../core/records/events.ts'
import type { Versions } from '../../../core/records/repository.ts'
import { assertTimeZone } from '../../../core/records/time-zones.ts'
import { userService, type Account } from '../users/service.ts'
import type { Organization as Shown, OrganizationChanges, OrganizationSummary } from './schema.ts'
import { organizations } from './table.ts'

export type Organization = Static<typeof Shown>

export interface FirstAdmin {
  username: string
  email: string
  password: string
  first_name?: string | null
  last_name?: string | null
}

type Changes = Static<typeof OrganizationChanges>

/** A name, and settings other than the default ones. */
type NewSettings = { name: string } & Changes

/** What a new organization starts with besides its admin; within the transaction of `ctx`. */
export type Provision = (ctx: Context) => Promise<void>

export const organizationService = {
  /** The organization of the caller. */
  async get(ctx: Context): Promise<Organization> {
    const [found] = await ctx.read<Organization>(
      sql`select * from ${organizations} where id = ${organization}`
    )
    return found!
  },

  /** What a user needs to know of it. */
  async summary(ctx: Context): Promise<Static<typeof OrganizationSummary>> {
    const { version: _, created_at: __, updated_at: ___, ...summary } = await this.get(ctx)
    return summary
  },

  /**
   * Changes the settings of the organization, which count from the next request on. Errors: 412,
   * 422 for a time zone, locale or currency that does not exist, and for an idle limit of sessions
   * above the absolute one.
   */
  async update(ctx: Context, changes: Changes, versions?: Versions): Promise<Organization> {
    return await ctx.transaction(async ctx => {
      await assertExist(ctx, changes)
      const before = await ctx.one<Organization>(
        sql`select * from ${organizations} where id = ${organization} for no key update`
      )
      if (versions && !versions.includes(before!.version)) throw stale(before!.version)
      const changed = changedFrom(before!, changes)
      if (Object.keys(changed).length === 0) return before!
      assertSessionDays({ ...before!, ...changed })
      const after = await change(ctx, changed)
      await ctx.forgetAccess()
      const details = { before: pick(before!, changed), after: changed }
      const subject = { type: 'organization', id: ctx.organization_id }
      await recordAccess(ctx, 'organization.updated', details, subject)
      return after
    })
  },

  /**
   * Creates an organization with its first admin, whose ID it returns, too. Errors: 422 for a
   * setting that does not exist.
   */
  async create(
    services: Services,
    { name, ...settings }: NewSettings,
    admin: FirstAdmin,
    provision: Provision
  ): Promise<{ organization: Organization; admin_id: number }> {
    const ctx = await newContext(services)
    const account = await accountOf(services, admin)
    return await ctx.transaction(async ctx => {
      const admin_id = await insert(ctx, name, account, provision)
      const organization =
        Object.keys(settings).length > 0
          ? await organizationService.update(ctx, settings)
          : await organizationService.get(ctx)
      return { organization, admin_id }
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
      await insert(ctx, name, await accountOf(services, admin), provision)
      return true
    })
  }
}

/** Those of the changes that change something. */
const changedFrom = (before: Organization, changes: Changes): Changes =>
  Object.fromEntries(
    Object.entries(defined(changes)).filter(
      ([name, value]) => value !== before[name as keyof Organization]
    )
  )

const pick = (settings: Organization, of: Changes) =>
  Object.fromEntries(Object.entries(settings).filter(([name]) => name in of))

/** Stores changes, of which there is at least one. */
async function change(ctx: Context, changes: Changes): Promise<Organization> {
  const columns = Object.entries(changes).map(
    ([name, value]) => sql`${sql.identifier(name)} = ${value}`
  )
  const [changed] = await ctx.write<Organization>(
    [],
    sql`update ${organizations} set ${sql.join(columns, sql`, `)},
        version = version + 1, updated_at = now()
      where id = ${organization} returning *`
  )
  return changed!
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

async function accountOf(
  { passwords }: Services,
  { password, ...admin }: FirstAdmin
): Promise<Account> {
  return { ...admin, role: 'admin', password_hash: await passwords.hash(password) }
}

async function insert(
  ctx: Context,
  name: string,
  admin: Account,
  provision: Provision
): Promise<number> {
  await ctx.rows(sql`insert into ${organizations} (id, name) overriding system value
    values (${ctx.organization_id}, ${name})`)
  const { id } = await inPart('admin', userService.createUnchecked(ctx, admin))
  await provision(ctx)
  return id
}

/** Errors: 422 for a time zone, locale or currency that does not exist. */
async function assertExist(ctx: Context, { time_zone, locale, currency }: Changes): Promise<void> {
  const refuse = (field: string, detail: string) => {
    throw ruleBroken(field, detail, { rule: 'unknown' })
  }
  if (locale !== undefined && !isLocale(locale)) refuse('locale', 'There is no such locale.')
  if (currency !== undefined && !Intl.supportedValuesOf('currency').includes(currency))
    refuse('currency', 'There is no such currency.')
  await assertTimeZone(ctx, time_zone)
}

/** Errors: 422 for an idle limit above the absolute one. */
function assertSessionDays({ session_idle_days, session_absolute_days }: Organization): void {
  if (session_idle_days > session_absolute_days)
    throw ruleBroken(
      'session_idle_days',
      '`session_idle_days` must not be above `session_absolute_days`.',
      { rule: 'session_days' }
    )
}

function isLocale(text: string): boolean {
  try {
    return Intl.getCanonicalLocales(text)[0] === text
  } catch {
    return false
  }
}
