// A server that gets the messages of webhooks.
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import type { Test } from 'tap'
import { startWebhooks, type WebhookOptions } from '../../src/jobs/webhooks.ts'
import { application, type App } from './app.ts'

/** A message as it came. */
export interface Received {
  id: string
  path: string
  headers: IncomingHttpHeaders
  body: string
  event: {
    type: string
    timestamp: string
    data: {
      id: number
      type: string
      cursor: string
      subject: { type: string; id: number; name?: string }
      version: number
      changed: string[]
      before?: Record<string, unknown> | null
      after?: Record<string, unknown> | null
    }
  }
  at: number
}

type Answer = (response: ServerResponse, message: Received) => void

/** Acknowledges every message. */
export const acknowledge: Answer = response => void response.writeHead(204).end()

/** Keeps what it receives. `answer` can be changed; it can be stopped and started again. */
export async function receiver(t: Test, answer: Answer = acknowledge) {
  let server: Server
  let port = 0
  const state = {
    answer,
    /** Messages, whatever the answer. */
    received: [] as Received[],
    connections: 0,
    port: 0,
    url: '',
    async start() {
      server = createServer((request, response) => {
        const chunks: Buffer[] = []
        request.on('data', (chunk: Buffer) => chunks.push(chunk))
        request.on('end', () => {
          const body = Buffer.concat(chunks).toString()
          const { headers } = request
          const id = String(headers['webhook-id'])
          const path = request.url!
          const message = { id, path, headers, body, event: JSON.parse(body), at: Date.now() }
          state.received.push(message)
          state.answer(response, message)
        })
        request.on('error', () => {})
      })
      server.on('connection', () => state.connections++)
      server.listen(port) // at all addresses of this machine
      await once(server, 'listening')
      port = (server.address() as AddressInfo).port
      state.port = port
      state.url = `http://127.0.0.1:${port}/hook`
    },
    async stop() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
  await state.start()
  t.teardown(async () => {
    await state.stop()
  })
  return state
}

export type Receiver = Awaited<ReturnType<typeof receiver>>

/** An application that may send to this machine. */
export const sending = async (t: Test, config: Parameters<typeof application>[1] = {}) => {
  const app = await application(t, { outbound_networks: ['127.0.0.0/8'], ...config })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return app
}

/** Sends to webhooks until the end of the test; quickly, unless `options` say otherwise. */
export function sender(t: Test, app: App, options: WebhookOptions = {}) {
  const log = pino({ level: process.env.TEST_LOG ?? 'silent' })
  const quick = { interval: 50, delays: Array.from({ length: 9 }, () => 50) }
  const started = startWebhooks(app.services, log, { ...quick, ...options })
  t.teardown(async () => {
    await started.stop()
  })
  return started
}

/** Waits until something holds. Errors: if it does not within 90 seconds. */
export async function until(what: () => boolean | Promise<boolean>, message = String(what)) {
  const end = Date.now() + 90_000
  while (!(await what())) {
    if (Date.now() > end) throw new Error(`in vain: ${message}`)
    await sleep(20)
  }
}
