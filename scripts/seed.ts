// Demo data of every resource: npm run seed -- --contacts 10000 [--seed 1]
import { SingleBar } from 'cli-progress'
import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { boot, runningPostgres } from '../src/boot.ts'
import { ConfigError, readConfig } from '../src/config.ts'
import { welcome } from '../src/first-start.ts'
import { closeHouse, openHouse } from '../src/house.ts'
import { Context } from '../src/kit/context.ts'
import { problemOfDatabase } from '../src/kit/errors.ts'
import type { ListQuery } from '../src/kit/list.ts'
import * as accounts from '../src/resources/accounts/service.ts'
import * as contacts from '../src/resources/contacts/service.ts'
import * as leads from '../src/resources/leads/service.ts'
import * as opportunities from '../src/resources/opportunities/service.ts'
import * as users from '../src/resources/users/service.ts'
import { Imagination } from './seed/imagination.ts'

const batch = 1000

async function seed () {
  const { contacts: size, seed } = options()
  const started = performance.now()
  const config = readConfig()
  const { settings, postgres } = await boot({ ...config, database_url: config.database_url ?? await runningPostgres(config.data_dir) }, () => {})
  const house = openHouse(settings)
  try {
    const admin_password = await welcome(house, config.admin)
    const [organization] = await house.database.pool<{ id: number }[]>`select id from organizations order by id limit 1`
    const system = new Context(house, { organization_id: organization!.id, user_id: null, role: 'admin', session_id: null })
    const { total: before = 0 } = await contacts.list(system, { limit: 1, count: true })
    // seeding again goes on where the last time ended, rather than making the same people again
    const imagine = new Imagination([seed, before])

    const plan = { users: Math.min(20, Math.max(3, Math.round(size / 500))), accounts: Math.ceil(size / 4), contacts: size, leads: Math.ceil(size * 0.4), opportunities: Math.ceil(size * 0.2) }
    const total = Object.values(plan).reduce((sum, count) => sum + count, 0)
    const progress = progressOf(total)

    const password = randomBytes(12).toString('base64url')
    for (let i = 0; i < plan.users; i++) {
      await makeUser(system, imagine.user(), password)
      progress.made(1)
    }
    const team = await all<{ id: number }>(users.stream(system, { fields: ['id'], filters: [{ field: 'status', operator: 'eq', value: 'active' }] }))
    const colleagues = team.map(({ id }) => new Context(house, { ...system.principal, user_id: id }))

    /** Makes `count` records in batches, each by another user, and returns them as Postgres has numbered them. */
    async function make<Row, Made extends { id: number }> (count: number, service: Service<Row>, invent: () => Row, fields: (keyof Made & string)[]): Promise<Made[]> {
      const [last] = (await service.list(system, { limit: 1, fields: ['id'] })).data as { id: number }[]
      let writing: Promise<unknown> = Promise.resolve()
      for (let made = 0; made < count; made += batch) {
        const rows = Array.from({ length: Math.min(batch, count - made) }, invent)
        await writing
        writing = service.createMany(colleagues[(made / batch) % colleagues.length]!, rows).then(() => { progress.made(rows.length) })
      }
      await writing
      return await all<Made>(service.stream(system, { fields, filters: [{ field: 'id', operator: 'gt', value: last?.id ?? 0 }] }))
    }

    const owners = team.map(({ id }) => id)
    // parents are made before their subsidiaries: a hierarchy without circles
    const parents = await make<object, Company>(Math.ceil(plan.accounts / 5), accounts, () => imagine.account(owners, []), ['id', 'name', 'website', 'created_at'])
    const others = await make<object, Company>(plan.accounts - parents.length, accounts, () => imagine.account(owners, parents), ['id', 'name', 'website', 'created_at'])
    const companies = [...parents, ...others]
  } finally {
    await closeHouse(house)
    await postgres?.stop()
  }
}
