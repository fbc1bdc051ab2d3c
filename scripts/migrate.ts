// Applies pending migrations: npm run migrate. A start does the same; this is for
// deployments in two steps.
import { boot } from '../src/bootstrap/boot.ts'
import { readConfig } from '../src/config.ts'

try {
  const { postgres } = await boot(readConfig(), () => {})
  await postgres?.stop()
  console.log('The database is up to date.')
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
