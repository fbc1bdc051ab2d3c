import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { setTimeout as sleep } from 'node:timers/promises'

declare module 'fastify' { interface FastifyInstance { draining: boolean } }

/** While `draining` is true everything is answered, and every answer asks the client to come back on another connection. */
export const shutdown = fp(async app => {
  app.decorate('draining', false)
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (app.draining) reply.header('connection', 'close')
    done()
  })
})

/**
 * Stops without breaking a request off: says it is not ready, goes on answering for `grace` milliseconds while clients and load
 * balancers turn away, then closes what is idle and waits for the rest.
 */
export async function closeGracefully (app: FastifyInstance, grace: number): Promise<void> {
  app.draining = true
  await sleep(grace)
  // a connection that was busy when the server closed is idle afterwards, and nobody else would close it
  const reaper = setInterval(() => { app.server.closeIdleConnections() }, 50)
  await app.close()
  clearInterval(reaper)
}
