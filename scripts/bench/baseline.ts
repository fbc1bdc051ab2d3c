// What to compare with: routes that only send (`bare`), or that run the same SQL with postgres.js
// and send (`driver`).
import './probe.ts'
import Fastify from 'fastify'
import { readFileSync } from 'node:fs'
import { createDatabase } from '../../src/core/db/connections.ts'
import type { Route } from './cases.ts'

const [kind, database_url, file] = process.argv.slice(2) as ['bare' | 'driver', string, string]
const { point, pool } = createDatabase(database_url)
const app = Fastify()
const json = 'application/json; charset=utf-8'

for (const {
  name,
  method,
  url,
  status,
  body,
  sql: { text, parameters },
  connection,
  answers
} of JSON.parse(readFileSync(file, 'utf8')) as Route[]) {
  const database = connection === 'point' ? point : pool
  app.route({
    method,
    url: `/${name}${url}`,
    handler:
      kind === 'bare'
        ? (_request, reply) => reply.code(status).type(json).send(body)
        : async (request, reply) => {
            const given = {
              ...(request.params as object),
              ...(request.query as object),
              ...(request.body as object)
            } as Record<string, string>
            const values = parameters.map(value =>
              typeof value === 'string' && value.startsWith('$') ? given[value.slice(1)]! : value
            )
            const rows = await database.unsafe(text, values as string[], { prepare: true })
            return reply
              .code(status)
              .type(json)
              .send(JSON.stringify(answers === 'record' ? rows[0] : { data: rows }))
          }
  })
}

app.get('/readyz', () => 'ok')
await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' })
