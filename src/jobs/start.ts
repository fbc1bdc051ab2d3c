import type { FastifyBaseLogger } from 'fastify'
import type { Services } from '../core/services.ts'
import { startExports } from './exports.ts'
import { startJobs, type Jobs } from './runner.ts'

/** Starts all background work of a process. */
export function startWork(services: Services, database_url: string, log: FastifyBaseLogger): Jobs {
  const all = [startJobs(services, database_url, log), startExports(services, log)]
  return {
    stop: async () => {
      await Promise.all(all.map(async one => await one.stop()))
    }
  }
}
