import { defineConfig } from 'drizzle-kit'

export default defineConfig({
  dialect: 'postgresql',
  schema: ['./src/modules/*/*/table.ts', './src/core/records/{events,operations}.ts', './src/core/user-jobs.ts'],
  out: './drizzle'
})
