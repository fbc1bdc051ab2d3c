// Resets the password of a user: npm run password -- admin@example.com
// With --without-second-factor, also for who has lost it.
// It changes the data of `npm start`, even while the server is running.
import { parseArgs } from 'node:util'
import { describeDatabase, withServices } from '../src/bootstrap/boot.ts'
import { readConfig } from '../src/config.ts'
import { generatePassword } from '../src/bootstrap/first-admin.ts'
import { Context } from '../src/core/access/context.ts'
import { findCandidates } from '../src/modules/identity/auth/queries.ts'
import { secondFactorService } from '../src/modules/identity/second-factors/service.ts'
import { userService } from '../src/modules/identity/users/service.ts'

const usage =
  'Usage: npm run password -- <username or email> [--organization <slug>] ' +
  '[--without-second-factor]'

async function main() {
  const { values, positionals } = parseArgs({
    options: {
      organization: { type: 'string' },
      'without-second-factor': { type: 'boolean', default: false }
    },
    allowPositionals: true
  })
  const [name, ...more] = positionals
  if (name === undefined || more.length > 0) throw new Error(usage)
  const config = readConfig()
  await withServices(config, async services => {
    const found = await findCandidates(services, name, values.organization ?? null)
    const [user, ...others] = found
    if (!user) throw new Error(`No active user ${name} in ${describeDatabase(config)}`)
    if (others.length > 0)
      throw new Error(
        `Several organizations have a user ${name}. Name one with --organization: ` +
          found.map(({ organization }) => organization).join(', ')
      )
    const password = generatePassword()
    const ctx = Context.system(services, user.organization_id)
    const { username } = await userService.update(ctx, user.id, { password })
    if (values['without-second-factor']) await secondFactorService.remove(ctx, user.id)
    const removed = values['without-second-factor'] ? ' Their second factor was removed.' : ''
    console.log(`${username}   password: ${password}   (shown only now)
Their sessions have ended; a running server notices within five seconds.${removed}`)
  })
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
})
