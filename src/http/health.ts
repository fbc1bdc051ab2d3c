import { Type } from '@sinclair/typebox'
import fp from 'fastify-plugin'
import { newestMigration } from '../bootstrap/migrations.ts'
import type { Services } from '../core/services.ts'
import { sql } from '../core/db/drizzle.ts'
import { rowsOf } from '../core/db/sql.ts'
import { withTimeout } from '../core/db/timeouts.ts'
import { isImpaired, unavailable } from '../core/errors.ts'
import { defineTag } from '../core/http/operations.ts'
import { json, response } from '../core/http/responses.ts'
import { OneOf } from '../core/http/schema.ts'

const tags = [defineTag('health', 'Checks for load balancers.')]

const Alive = Type.Object(
  { status: OneOf(['ok'], { description: 'Status.', example: 'ok' }) },
  { additionalProperties: false }
)
const Ready = Type.Object(
  {
    status: OneOf(['ok', 'degraded'], {
      description: 'Status; degraded: the service works only in part, or more slowly.',
      example: 'ok'
    }),
    postgres: OneOf(['ok', 'degraded'], {
      description:
        'Status of Postgres; degraded: within the last 30 seconds it was out of disk space, ' +
        'memory or connections, could not access its files, or was read-only.',
      example: 'ok'
    }),
    migrations: OneOf(['ok'], { description: 'Status of the migrations.', example: 'ok' }),
    redis: OneOf(['none', 'ok', 'degraded'], {
      description: 'Status of Redis; none: REDIS_URL is not set.',
      example: 'none'
    })
  },
  { additionalProperties: false }
)

/** Milliseconds to wait for Postgres. */
const readyTimeout = 2_000
/** Milliseconds for which Postgres is degraded after a request failed for lack of resources. */
const impairedTime = 30_000
const lastMigration = sql`select created_at::float8 as at from drizzle.__drizzle_migrations
  order by created_at desc limit 1`

/** `/healthz`: the process is alive. `/readyz`: it can serve requests. */
export const health = fp<{ services: Services }>(async (app, { services }) => {
  let impairedUntil = 0
  app.addHook('onError', (_request, _reply, error, done) => {
    if (isImpaired(error)) impairedUntil = performance.now() + impairedTime
    done()
  })

  app.get(
    '/healthz',
    {
      config: { public: true, unlimited: true },
      schema: {
        operationId: 'checkHealth',
        summary: 'Check liveness',
        description: 'Does not depend on any other service.',
        tags,
        response: response(200, 'The process is alive.', Alive)
      }
    },
    (_request, reply) => reply.type(json).send('{"status":"ok"}')
  )

  app.get(
    '/readyz',
    {
      config: { public: true, unlimited: true },
      schema: {
        operationId: 'checkReadiness',
        summary: 'Check readiness',
        description:
          'Queries Postgres. Without Redis, which is only a cache, or with a Postgres that can ' +
          'only be read, the service is degraded but still ready.',
        tags,
        response: response(200, 'The service is ready.', Ready)
      }
    },
    async () => {
      if (app.starting) throw unavailable('The service is starting.')
      if (app.draining) throw unavailable('The service is shutting down.')
      const { database, cache } = services
      const query = rowsOf<{ at: number }>(database, database.point, lastMigration)
      const applied = await withTimeout(readyTimeout, query).catch(() => {
        throw unavailable('Postgres is not responding.')
      })
      if ((applied[0]?.at ?? 0) < newestMigration) throw unavailable('Migrations are pending.')
      const postgres = performance.now() < impairedUntil ? 'degraded' : 'ok'
      const redis = cache.state()
      const status = [postgres, redis].includes('degraded') ? 'degraded' : 'ok'
      return { status, postgres, migrations: 'ok', redis }
    }
  )
})
