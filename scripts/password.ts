// Resets the password of a user: npm run password -- admin@example.com
// It changes the data of `npm start`, even while the server is running.
import { describeDatabase, withServices } from '../src/bootstrap/boot.ts'
import { readConfig } from '../src/config.ts'
import { generatePassword } from '../src/bootstrap/first-admin.ts'
import { Context } from '../src/core/access/context.ts'
import { userService } from '../src/modules/identity/users/service.ts'

interface UserRow {
  organization_id: number
  id: number
  username: string
}

async function main() {
  const [name, ...more] = process.argv.slice(2)
  if (name === undefined || name.startsWith('-') || more.length > 0)
    throw new Error('Usage: npm run password -- <username or email>')
  const config = readConfig()
  await withServices(config, async services => {
    const [user] = await services.database.pool<UserRow[]>`
      select organization_id, id, username
      from users
      where (lower(username) = lower(${name}) or email_key(email) = email_key(${name}))
        and deleted_at is null
        and status = 'active'`
    if (!user) throw new Error(`No active user ${name} in ${describeDatabase(config)}`)
    const password = generatePassword()
    const ctx = Context.system(services, user.organization_id)
    await userService.update(ctx, user.id, { password })
    console.log(`${user.username}   password: ${password}   (shown only now)
Their sessions have ended; a running server notices within five seconds.`)
  })
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
})
