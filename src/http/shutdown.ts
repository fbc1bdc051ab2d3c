import type { FastifyInstance } from 'fastify'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Stops without aborting a request: reports that it is not ready, serves for `grace` milliseconds
 * while clients and load balancers turn away, then closes idle connections and waits for the rest.
 */
export async function closeGracefully(app: FastifyInstance, grace: number): Promise<void> {
  app.draining = true
  await sleep(grace)
  // a connection that was busy when the server closed becomes idle, and nothing else closes it
  const timer = setInterval(() => {
    app.server.closeIdleConnections()
  }, 50)
  await app.close()
  clearInterval(timer)
}
