import { Context, type Services } from '../../../core/access/context.ts'
import { begin, build, rowsOf, type Connection } from '../../../core/db/database.ts'
import { createFirst as createPipeline } from '../../sales/pipelines/service.ts'
import { createFirst as createUser } from '../users/service.ts'
import { organizations } from './table.ts'

export interface FirstAdmin {
  username: string
  email: string
  password: string
}

/** Makes an organisation with its first admin, who alone can make the others. Returns the organisation's number. */
export const create = async (services: Services, name: string, admin: FirstAdmin): Promise<number> =>
  await begin(services.database.pool, async connection => await insert(services, connection, name, admin))

/** The same, unless there is an organisation already; processes that start together make one between them. */
export const createFirst = async (
  services: Services,
  name: string,
  admin: FirstAdmin
): Promise<boolean> =>
  await begin(services.database.pool, async connection => {
    await connection`select pg_advisory_xact_lock(hashtext('first organization'))`
    const [existing] = await rowsOf(
      connection,
      build.select({ id: organizations.id }).from(organizations).limit(1)
    )
    if (existing) return false
    await insert(services, connection, name, admin)
    return true
  })

async function insert(
  services: Services,
  connection: Connection,
  name: string,
  admin: FirstAdmin
): Promise<number> {
  const [organization] = await rowsOf(
    connection,
    build.insert(organizations).values({ name }).returning({ id: organizations.id })
  )
  const ctx = new Context(
    services,
    { organization_id: organization!.id, user_id: null, role: 'admin', session_id: null },
    { connection, changed: new Set() }
  )
  await createUser(ctx, { ...admin, role: 'admin' })
  await createPipeline(ctx)
  return organization!.id
}
