import { placeOf } from '../../../core/records/feed.ts'
import type { Entry } from '../events/service.ts'

/** What of an event a webhook sends. */
export interface Contents {
  format: string
  /** The fields that `before` and `after` are cut down to; null: all. */
  fields: string[] | null
}

/** A delivery to be added. */
export interface NewDelivery {
  event_id: number | null
  position: number | null
  type: string
  subject_type: string
  subject_id: number
  payload: string
}

/** A message about an event, in the structure that Standard Webhooks recommends. */
export function messageOf(entry: Entry, { format, fields }: Contents): NewDelivery {
  const { previous: _, before, after, subject, ...event } = entry
  const { type, id } = subject
  const data =
    format === 'thin'
      ? { ...event, subject: { type, id } }
      : { ...event, subject, before: cut(before, fields), after: cut(after, fields) }
  return {
    event_id: event.id,
    position: placeOf(event.cursor).position,
    type: event.type,
    subject_type: type,
    subject_id: id,
    payload: JSON.stringify({ type: event.type, timestamp: event.at, data })
  }
}

const cut = (record: Record<string, unknown> | null, fields: string[] | null) =>
  record && fields
    ? Object.fromEntries(fields.flatMap(name => (name in record ? [[name, record[name]]] : [])))
    : record

/** A message by which receivers are tested. */
export const testMessage = (webhook_id: number, now: Date): NewDelivery => {
  const type = 'webhook.tested'
  const data = { webhook_id }
  return {
    event_id: null,
    position: null,
    type,
    subject_type: 'webhook',
    subject_id: webhook_id,
    payload: JSON.stringify({ type, timestamp: now.toISOString(), data })
  }
}

/** The ID by which receivers know a message, however often it is sent. */
export const messageId = ({ event_id, id }: { event_id: number | null; id: number }): string =>
  event_id === null ? `test_${id}` : `evt_${event_id}`
