// Applies pending migrations: npm run migrate. `npm start` does so too; this is for deployments
// that migrate in a step of their own.
import { boot, quiet } from '../src/bootstrap/boot.ts'
import { readConfig } from '../src/config.ts'

try {
  const { postgres } = await boot(readConfig(), quiet)
  await postgres?.stop()
  console.log('The database is up to date.')
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
