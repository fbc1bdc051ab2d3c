import type { FastifyBaseLogger } from 'fastify'
import type { Services } from '../core/services.ts'
import { startExports } from './exports.ts'
import { startJobs, type Background } from './runner.ts'
import { startWebhooks } from './webhooks.ts'

/** Runs jobs, makes exports and sends to webhooks until it is stopped. */
export function startBackground(
  services: Services,
  database_url: string,
  log: FastifyBaseLogger
): Background {
  const all = [
    startJobs(services, database_url, log),
    startExports(services, log),
    startWebhooks(services, log)
  ]
  return {
    stop: async () => {
      await Promise.all(all.map(async one => await one.stop()))
    }
  }
}
