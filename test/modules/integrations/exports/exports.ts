// What tests of exports share: making one, reading its file, and following the feed.
import { makeExports, type App, type Call } from '../../../support/app.ts'

export interface Result {
  href: string
  cursor: string | null
  rows: number
  sha256: string
}
interface Job {
  id: number
  state: string
  result: Result
  error: { code: string; detail: string } | null
}
type Fields = Record<string, unknown>
/** Records by their type and ID. */
export type Records = Map<string, Fields>

export const jobOf = async (call: Call, id: number) =>
  (await call(`GET /api/jobs/${id}`)).json<Job>()

/** Starts an export; returns the ID of it and of its job. */
export async function start(call: Call, body: object): Promise<number> {
  const answer = await call('POST /api/exports', body)
  if (answer.statusCode !== 202) throw new Error(answer.body)
  return answer.json<Job>().id
}

/** Makes an export; returns its job when that has ended. */
export async function make(app: App, call: Call, body: object): Promise<Job> {
  const id = await start(call, body)
  await makeExports(app)
  return await jobOf(call, id)
}

/** The records of a file in NDJSON. */
export const recordsIn = (text: string): Records =>
  new Map(
    text
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line) as { type: string; record: Fields })
      .map(({ type, record }) => [`${type}/${String(record.id)}`, record])
  )

interface Event {
  type: string
  subject: { type: string; id: number }
  before: Fields | null
  after: Fields | null
}

const isThere = (record: Fields | null): record is Fields =>
  record !== null && record.deleted_at === null

/**
 * Applies all events after a cursor to records, as a reader of the feed would; returns how many.
 * Errors: if what an event changed is not what is there: one was applied twice, or is missing.
 */
export async function follow(
  call: Call,
  records: Records,
  types: string[],
  cursor: string
): Promise<number> {
  let count = 0
  let after = cursor
  for (;;) {
    const wanted = types.map(type => `${type}.*`).join(',')
    const answer = await call(`GET /api/events?after=${after}&types=${wanted}&limit=500`)
    if (answer.statusCode !== 200) throw new Error(answer.body)
    const { data, has_more, next_cursor } = answer.json<{
      data: Event[]
      has_more: boolean
      next_cursor: string
    }>()
    for (const { type, subject, before, after } of data) {
      const key = `${subject.type}/${subject.id}`
      const version = isThere(before) ? before.version : undefined
      if (records.get(key)?.version !== version)
        throw new Error(`${type} of ${key} ${String(version)}: ${told(records.get(key))}`)
      if (isThere(after)) records.set(key, after)
      else records.delete(key)
    }
    count += data.length
    if (!has_more) return count
    after = next_cursor
  }
}

/** The records that the lists have now. */
export async function live(call: Call, paths: Record<string, string>): Promise<Records> {
  const records: Records = new Map()
  for (const [type, path] of Object.entries(paths)) {
    const accept = 'application/x-ndjson'
    const { body } = await call(`GET /api/${path}`, undefined, { accept })
    for (const line of body.split('\n').filter(line => line !== '')) {
      const record = JSON.parse(line) as Fields
      records.set(`${type}/${String(record.id)}`, record)
    }
  }
  return records
}

const told = (record: Fields | undefined) =>
  JSON.stringify(record && Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)))

/** The differences between records, in words; none if they are the same. */
export function differences(found: Records, wanted: Records): string[] {
  return [...new Set([...found.keys(), ...wanted.keys()])]
    .filter(key => told(found.get(key)) !== told(wanted.get(key)))
    .map(key => `${key}: ${told(found.get(key))} instead of ${told(wanted.get(key))}`)
}
