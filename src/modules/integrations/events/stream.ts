import type { Context } from '../../../core/access/context.ts'
import { Problem } from '../../../core/errors.ts'
import { cursorOf, type Place } from '../../../core/records/feed.ts'
import { feedService, type Entry, type Wanted } from './service.ts'

/** Events that are read at a time: what a slow reader has not taken yet is not much. */
const batch = 100
/** Milliseconds without events after which a stream shows that it is alive. */
const heartbeat = 15_000

interface Following {
  after: Place
  wanted: Wanted
  /** The caller with the rights of now. Errors: what ends the stream. */
  readmit: () => Promise<Context>
  /** Ends the stream. */
  signal: AbortSignal
}

/**
 * The events after a place, as they happen, as server-sent events. What comes next is read when
 * what came before was taken, with the rights that the caller has then.
 */
export async function* streamOf(caller: Context, following: Following): AsyncGenerator<string> {
  const { wanted, readmit, signal } = following
  const subscription = caller.services.sequencer.subscribe(caller.organization_id)
  let { after } = following
  let last = cursorOf(after)
  try {
    yield event('ready', last, { cursor: last })
    do {
      const ctx = await readmit()
      const selection = feedService.selectionOf(ctx, wanted)
      const { version } = subscription
      const reading = { after, previous: last, selection, limit: batch }
      const { entries, end, hasMore } = await feedService.readShared(ctx, reading, version)
      after = end
      const previous = last
      last = entries.at(-1)?.cursor ?? cursorOf(end)
      if (entries.length > 0) yield entries.map(messageOf).join('')
      else if (last === previous) yield ':\n\n'
      else yield event('cursor', last, { cursor: last, previous })
      if (!hasMore) await subscription.wait(heartbeat, signal)
    } while (!signal.aborted)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    yield event('error', last, error.body('/api/events/stream', caller.origin?.request_id ?? ''))
  } finally {
    subscription.close()
  }
}

const messageOf = (entry: Entry) => `id: ${entry.cursor}\ndata: ${JSON.stringify(entry)}\n\n`

const event = (name: string, cursor: string, data: object) =>
  `id: ${cursor}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`
