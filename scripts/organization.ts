// Creates another organization with its admin: npm run organization -- --name Acme --admin anna
// It changes the data of `npm start`, even while the server is running.
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { describeDatabase, withServices } from '../src/bootstrap/boot.ts'
import { generatePassword } from '../src/bootstrap/first-admin.ts'
import { createOrganization } from '../src/bootstrap/organizations.ts'
import { adminFrom, ConfigError, readConfig } from '../src/config.ts'

const usage = `Usage: npm run organization -- --name <name> --admin <name> [--password <password>]

  --name      Name of the organization.
  --admin     User name of its first admin, who can create other users. It may be an email address.
  --password  Password of the admin; "-" reads it from the standard input. By default, one is
              generated and shown once.

The organization has its own default pipeline, and shares no data with others. It is created in
DATA_DIR, or in the database of DATABASE_URL.`

interface Options {
  name: string
  admin: string
  password: string | undefined
}

async function main() {
  const options = readOptions()
  if (!options) return console.log(usage)
  const config = readConfig()
  const given = options.password === '-' ? await readLine() : options.password
  const names = { username: '--admin', password: '--password' }
  const { username, email } = adminFrom(options.admin, given, names)
  const password = given ?? generatePassword()
  await withServices(config, async services => {
    const admin = { username, email, password }
    const { id, slug } = await createOrganization(services, options.name, admin)
    const shown = given === undefined ? `   password: ${password}   (shown only now)` : ''
    console.log(`Organization     ${options.name} (${slug}, ${id})
Admin            ${username}${shown}
Email            ${email}
Written to ${describeDatabase(config)}`)
  })
}

/** The options, or undefined for help. Errors: ConfigError. */
function readOptions(): Options | undefined {
  const { help, ...values } = parseArgs({
    options: {
      name: { type: 'string' },
      admin: { type: 'string' },
      password: { type: 'string' },
      help: { type: 'boolean', default: false }
    }
  }).values
  if (help) return undefined
  const { admin = '', password } = values
  const name = values.name?.trim() ?? ''
  if (name === '' || name.length > 200)
    throw new ConfigError('--name must have between 1 and 200 characters')
  if (admin === '') throw new ConfigError('--admin must be the user name of the first admin')
  return { name, admin, password }
}

/** The first line of the standard input; arguments are visible to other users of the machine. */
async function readLine(): Promise<string> {
  if (process.stdin.isTTY) process.stderr.write('Password: ')
  for await (const line of createInterface({ input: process.stdin })) return line
  return ''
}

main().catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error)
  // parseArgs adds advice about positional arguments, which this script does not have
  console.error(
    message.startsWith('Unknown option')
      ? `${message.split('. ')[0]}: see npm run organization -- --help`
      : message
  )
  process.exit(1)
})
