// Serves the baselines: routes that send a fixed body (`bare`), or run the same SQL with
// postgres.js and send its rows (`driver`).
import './probe.ts'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import { readFileSync } from 'node:fs'
import { createDatabase } from '../../src/core/db/connections.ts'
import type { Route } from './cases.ts'

const [kind, database_url, file] = process.argv.slice(2) as ['bare' | 'driver', string, string]
const { point, pool } = createDatabase(database_url)
const json = 'application/json; charset=utf-8'

const bare =
  ({ status, body }: Route) =>
  (_request: FastifyRequest, reply: FastifyReply) =>
    reply.code(status).type(json).send(body)

const driver = ({ status, sql: { text, parameters }, connection, returns }: Route) => {
  const database = connection === 'point' ? point : pool
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const input = {
      ...(request.params as object),
      ...(request.query as object),
      ...(request.body as object)
    } as Record<string, string>
    const values = parameters.map(value =>
      typeof value === 'string' && value.startsWith('$') ? input[value.slice(1)]! : value
    )
    const rows = await database.unsafe(text, values as string[], { prepare: true })
    const body = JSON.stringify(returns === 'record' ? rows[0] : { data: rows })
    return reply.code(status).type(json).send(body)
  }
}

const app = Fastify()
for (const route of JSON.parse(readFileSync(file, 'utf8')) as Route[]) {
  const { name, method, url } = route
  const handler = kind === 'bare' ? bare(route) : driver(route)
  app.route({ method, url: `/${name}${url}`, handler })
}
app.get('/readyz', () => 'ok')
await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' })
