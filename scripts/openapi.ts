// Writes openapi/openapi.json from the schemas of the routes.
import { pino } from 'pino'
import { writeFileSync } from 'node:fs'
import { buildApp } from '../src/app.ts'
const app = await buildApp({
    database_url: 'postgres://nobody@localhost/never', redis_url: undefined, jwt_secret: 'x'.repeat(48),
    cors_origins: [], trust_proxy: [], rate_limit_max: 10_000, password_cost: { memory: 8, passes: 1 }
  }, pino({level:'silent'}))
await app.ready()
writeFileSync('openapi/openapi.json', JSON.stringify(app.swagger(), null, 2) + '\n')
await app.close()
