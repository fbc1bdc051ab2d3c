import type { FastifyInstance, FastifyRequest } from 'fastify'
import { randomUUID } from 'node:crypto'
import { maxAddress } from '../../../core/access/networks.ts'
import type { Origin } from './queries.ts'
import { tokenLifetime, type Login } from './service.ts'

/** Where a login comes from. A trusted proxy may name anything as the address. */
export const originOf = ({ ip, headers }: FastifyRequest): Origin => ({
  address: ip.slice(0, maxAddress),
  client: headers['user-agent']?.slice(0, 200) ?? null
})

export const accessToken = (app: FastifyInstance, { session_id, user }: Login) =>
  app.jwt.sign({ sub: String(user.id), sid: session_id, jti: randomUUID() })

/** The response to a login. */
export const sessionOf = (app: FastifyInstance, login: Login) => ({
  token: accessToken(app, login),
  refresh_token: login.refresh_token,
  expires_in: tokenLifetime,
  user: login.user
})
