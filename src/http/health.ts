import { Type } from '@sinclair/typebox'
import fp from 'fastify-plugin'
import type { Services } from '../core/access/context.ts'
import { within } from '../core/db/timeouts.ts'
import { Problem } from '../core/errors.ts'
import { OneOf } from '../core/http/schema.ts'
import { newestMigration } from '../bootstrap/migrations.ts'

const Alive = Type.Object(
  { status: OneOf(['ok'], { example: 'ok' }) },
  { additionalProperties: false }
)
const Ready = Type.Object(
  {
    status: OneOf(['ok', 'degraded'], {
      description: 'degraded: it works, and slower than it could.',
      example: 'ok'
    }),
    postgres: OneOf(['ok'], { example: 'ok' }),
    migrations: OneOf(['ok'], { example: 'ok' }),
    redis: OneOf(['none', 'ok', 'degraded'], {
      description: 'none: there is no REDIS_URL.',
      example: 'none'
    })
  },
  { additionalProperties: false }
)

/** `/healthz`: the process lives. `/readyz`: it should be sent requests. */
export const health = fp<{ services: Services }>(async (app, { services }) => {
  const answer = (schema: object) => ({
    200: { description: 'Yes.', content: { 'application/json': { schema } } }
  })

  app.get(
    '/healthz',
    {
      config: { public: true },
      schema: {
        operationId: 'checkHealth',
        summary: 'Is the process alive?',
        description: 'Asks nothing of any other service.',
        tags: ['health'],
        response: answer(Alive)
      }
    },
    (_request, reply) => reply.type('application/json; charset=utf-8').send('{"status":"ok"}')
  )

  app.get(
    '/readyz',
    {
      config: { public: true },
      schema: {
        operationId: 'checkReadiness',
        summary: 'Can the service answer requests?',
        description:
          'Asks Postgres. Redis is only a cache: without it the service is degraded and still ready.',
        tags: ['health'],
        response: answer(Ready)
      }
    },
    async () => {
      if (app.draining) throw notReady('It is shutting down.')
      const applied = await within(
        2_000,
        services.database.point<
          { at: number }[]
        >`select created_at::float8 as at from drizzle.__drizzle_migrations order by created_at desc limit 1`
      ).catch(() => {
        throw notReady('Postgres does not answer.')
      })
      if ((applied[0]?.at ?? 0) < newestMigration) throw notReady('Migrations are pending.')
      const redis = services.cache.state()
      return {
        status: redis === 'degraded' ? 'degraded' : 'ok',
        postgres: 'ok',
        migrations: 'ok',
        redis
      }
    }
  )
})

const notReady = (detail: string) =>
  new Problem(503, 'unavailable', detail, { headers: { 'retry-after': '1' } })
