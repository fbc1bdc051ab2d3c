import { defineConfig } from 'drizzle-kit'

export default defineConfig({
  dialect: 'postgresql',
  schema: ['./src/resources/*/table.ts', './src/kit/events.ts'],
  out: './drizzle'
})
