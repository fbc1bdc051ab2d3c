import type { Static } from '@sinclair/typebox'
import { sentenceCase, withArticle } from '../../../core/names.ts'
import { eventKinds } from '../../../core/records/events.ts'
import { allResources } from '../../../core/records/resource.ts'
import type { EventType } from './schema.ts'

/** All types of events there are, those of a resource together. */
export const eventTypes = (): Static<typeof EventType>[] =>
  allResources().flatMap(({ name, label, path, schema }) =>
    eventKinds.map(kind => ({
      type: `${name}.${kind}`,
      subject: name,
      description: `${sentenceCase(withArticle(label))} was ${kind}.`,
      permission: `${path}:read`,
      record: schema?.$id ?? null
    }))
  )
