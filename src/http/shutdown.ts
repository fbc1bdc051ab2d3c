import type { FastifyInstance } from 'fastify'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Stops without breaking a request off: says it is not ready, goes on answering for `grace` milliseconds while clients and load
 * balancers turn away, then closes what is idle and waits for the rest.
 */
export async function closeGracefully(app: FastifyInstance, grace: number): Promise<void> {
  app.draining = true
  await sleep(grace)
  // a connection that was busy when the server closed is idle afterwards, and nobody else would close it
  const reaper = setInterval(() => {
    app.server.closeIdleConnections()
  }, 50)
  await app.close()
  clearInterval(reaper)
}
