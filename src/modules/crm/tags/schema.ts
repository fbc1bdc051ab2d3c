import { Type, type SchemaOptions } from '@sinclair/typebox'
import { ExternalIds } from '../../../core/http/external-ids.ts'
import {
  Change,
  Creation,
  Id,
  Name,
  Nullable,
  RecordOf,
  explained
} from '../../../core/http/schema.ts'

const fields = {
  name: Name(50, {
    description: 'Name, unique regardless of case.',
    example: 'key account'
  }),
  color: Nullable(
    Type.String({
      maxLength: 7,
      pattern: explained(
        '^#[0-9a-f]{6}$',
        'must be a color in lowercase, such as #49cc90',
        'color'
      ),
      description: 'Color, as #rrggbb in lowercase.',
      example: '#49cc90'
    })
  ),
  external_ids: ExternalIds()
}

export const Tag = RecordOf('Tag', 'A label for records.', fields)
export const NewTag = Creation('NewTag', fields, ['name'], {
  name: 'key account',
  color: '#49cc90'
})
export const TagChanges = Change('TagChanges', fields, { color: '#e5484d' })

/** The IDs of the tags of a record. */
export const TagIds = (options: SchemaOptions = {}) =>
  Type.Array(Id(), {
    maxItems: 50,
    uniqueItems: true,
    description: 'Tag IDs.',
    example: [],
    ...options
  })
