// A new password for a user who has lost the old one: npm run password -- admin@example.com
// It goes where `npm start` looks; a server that is running there may go on running.
import { describeDatabase, withServices } from '../src/bootstrap/boot.ts'
import { readConfig } from '../src/config.ts'
import { generatePassword } from '../src/bootstrap/first-admin.ts'
import { Context } from '../src/core/access/context.ts'
import { clearUserFailures } from '../src/modules/identity/auth/throttle.ts'
import { userService } from '../src/modules/identity/users/service.ts'

async function main() {
  const [name, ...more] = process.argv.slice(2)
  if (name === undefined || name.startsWith('-') || more.length > 0)
    throw new Error('Usage: npm run password -- <user name or e-mail>')
  const config = readConfig()
  await withServices(config, async services => {
    const [user] = await services.database.pool<
      { organization_id: number; id: number; username: string }[]
    >`
      select organization_id, id, username from users
      where (lower(username) = lower(${name}) or lower(email) = lower(${name}))
      and deleted_at is null and status = 'active'`
    if (!user) throw new Error(`There is no active user ${name} in ${describeDatabase(config)}`)
    const password = generatePassword()
    const ctx = Context.system(services, user.organization_id)
    await userService.update(ctx, user.id, { password })
    await clearUserFailures(services, user.id) // a lost password has often been tried
    console.log(`${user.username}   password: ${password}   (shown only now)
Their sessions have ended; a server that is running notices within five seconds.`)
  })
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
})
