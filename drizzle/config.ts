import { defineConfig } from 'drizzle-kit'

export default defineConfig({
  dialect: 'postgresql',
  schema: [
    './src/modules/*/*/table.ts',
    './src/core/records/{events,external-ids,operations}.ts',
    './src/core/user-jobs.ts',
    './src/core/writes/keys.ts'
  ],
  out: './drizzle'
})
