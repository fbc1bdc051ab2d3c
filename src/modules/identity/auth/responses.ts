import type { FastifyInstance } from 'fastify'
import { randomUUID } from 'node:crypto'
import { tokenLifetime, type Login } from './service.ts'

export const accessToken = (app: FastifyInstance, { session_id, user }: Login) =>
  app.jwt.sign({ sub: String(user.id), sid: session_id, jti: randomUUID() })

/** The response to a login. */
export const sessionOf = (app: FastifyInstance, login: Login) => ({
  token: accessToken(app, login),
  refresh_token: login.refresh_token,
  expires_in: tokenLifetime,
  user: login.user
})
