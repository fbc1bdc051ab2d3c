import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'

export interface Listener {
  stop: () => Promise<void>
}

export interface Hearing {
  /** Gets what any process notifies. */
  hear: (payload: string) => void
  /** Called when nothing is heard any more, and when it is again: what was sent between is lost. */
  lost: () => void
  regained: () => void
}

const retryDelay = 500
/** Milliseconds to wait for a server that stopped responding. */
const patience = 5_000

/**
 * Listens to a channel of Postgres on a connection of its own, and connects again whenever that is
 * lost. `url`: `postgres://…`.
 */
export function listenTo(channel: string, url: string, hearing: Hearing): Listener {
  const stopping = new AbortController()
  const { signal } = stopping
  const listening = (async () => {
    while (!signal.aborted) {
      await listenOnce(channel, url, hearing, signal)
      if (signal.aborted) return
      hearing.lost()
      await sleep(retryDelay, undefined, { signal }).catch(() => {})
    }
  })()
  return {
    async stop() {
      stopping.abort()
      await listening
    }
  }
}

/** Listens until the connection ends. */
async function listenOnce(
  channel: string,
  url: string,
  { hear, regained }: Hearing,
  signal: AbortSignal
): Promise<void> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: patience,
    keepAlive: true,
    application_name: `smartx-listener-${channel}`
  })
  const ended = new Promise<void>(resolve => {
    client.on('error', () => {
      resolve()
    })
    client.on('end', resolve)
    signal.addEventListener('abort', () => {
      resolve()
    })
  })
  client.on('notification', ({ payload = '' }) => {
    hear(payload)
  })
  try {
    await client.connect()
    await client.query(`listen ${client.escapeIdentifier(channel)}`)
    regained()
    await ended
  } catch {
    // it is tried again
  }
  await Promise.race([client.end().catch(() => {}), sleep(patience, undefined, { ref: false })])
}
