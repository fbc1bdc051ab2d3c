import type { Static } from '@sinclair/typebox'
import { sentenceCase, withArticle } from '../../../core/names.ts'
import { eventKinds } from '../../../core/records/events.ts'
import type { EventType } from './schema.ts'
import { followable } from './service.ts'

/** All types of events there are, those of a resource together. */
export const eventTypes = (): Static<typeof EventType>[] =>
  followable().flatMap(({ name, label, path, schema }) =>
    eventKinds.map(kind => ({
      type: `${name}.${kind}`,
      subject: name,
      description: `${sentenceCase(withArticle(label))} was ${kind}.`,
      permission: `${path}:read`,
      record: schema?.$id ?? null
    }))
  )
