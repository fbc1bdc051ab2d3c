import { defineConfig } from 'drizzle-kit'

export default defineConfig({
  dialect: 'postgresql',
  schema: [
    './src/modules/*/*/table.ts',
    './src/core/records/events.ts',
    './src/core/records/external-ids.ts',
    './src/core/writes/keys.ts'
  ],
  out: './drizzle'
})
