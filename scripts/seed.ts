// Creates demo data of all resources: npm run seed -- --contacts 10000 [--seed 1]
// It adds to the data of `npm start`, even while the server is running.
import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { describeDatabase, withServices } from '../src/bootstrap/boot.ts'
import { createFirstAdmin } from '../src/bootstrap/first-admin.ts'
import { ConfigError, readConfig } from '../src/config.ts'
import { Context } from '../src/core/access/context.ts'
import { createDemoData } from './seed/fill.ts'

const usage = `Usage: npm run seed -- [--contacts 1000] [--seed 1]

  --contacts   Number of contacts. Accounts, leads, opportunities, activities, campaigns and users
               are created in proportion; the first run also creates tags, teams, territories,
               two active assignment rules and an active scoring model.
  --seed       Seed of the random generator: a different number generates different people.

Each run adds to the existing data: in DATA_DIR, or in the database of DATABASE_URL.`

async function main() {
  const { contacts, seed, help } = readOptions()
  if (help) return console.log(usage)
  const config = readConfig()
  await withServices(config, async (services, owner_url) => {
    const { generated } = await createFirstAdmin(services, config.admin)
    if (generated)
      console.log(`Admin: ${config.admin.username}   password: ${generated}   (shown only now)`)
    const { pool } = services.database
    const [organization] = await pool<{ id: number }[]>`
      select id from organizations order by id limit 1`
    const ctx = Context.system(services, organization!.id)
    const { names, password } = await createDemoData(ctx, contacts, seed)
    // otherwise the first searches are planned for empty tables
    const owner = postgres(owner_url, {
      max: 1,
      onnotice: () => {}, // of tables that it may not analyze
      connection: { statement_timeout: 0 }
    })
    await owner`analyze`
    await owner.end()
    console.log(`Scoring model "Engagement" scores leads, and two rules assign new ones: see
/api/scoring-models and /api/assignment-rules
New users: ${names.join(', ')}
Their password: ${password}   (shown only now)
Written to ${describeDatabase(config)}`)
  })
}

function readOptions() {
  const { help, ...values } = parseArgs({
    options: {
      contacts: { type: 'string', default: '1000' },
      seed: { type: 'string', default: '1' },
      help: { type: 'boolean', default: false }
    }
  }).values
  for (const [name, value] of Object.entries(values)) {
    if (!/^[1-9]\d{0,6}$/.test(value))
      throw new ConfigError(
        `--${name} must be an integer between 1 and 9999999, not ${JSON.stringify(value)}`
      )
  }
  return { contacts: Number(values.contacts), seed: Number(values.seed), help }
}

main().catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error)
  // parseArgs adds advice about positional arguments, which this script does not have
  console.error(
    message.startsWith('Unknown option')
      ? `${message.split('. ')[0]}: see npm run seed -- --help`
      : message
  )
  process.exit(1)
})
