import { Type } from '@sinclair/typebox'
import { Change, Creation, Name, Nullable, RecordOf, Ref } from '../../../core/http/schema.ts'

const fields = {
  name: Name(50, {
    description: 'What it says; unique, whatever the case.',
    example: 'key account'
  }),
  color: Nullable(
    Type.String({
      maxLength: 7,
      pattern: '^#[0-9a-f]{6}$',
      description: 'How it is painted, as #rrggbb in lower case.',
      example: '#49cc90'
    })
  )
}

export const Tag = RecordOf('Tag', 'A word that records are sorted by.', fields)
export const NewTag = Creation('NewTag', fields, ['name'], {
  name: 'key account',
  color: '#49cc90'
})
export const TagChanges = Change('TagChanges', fields, { color: '#e5484d' })
/** The tags of a record, where `include=tags` asks for them. */
export const TagList = Type.Array(Ref(Tag), { maxItems: 50 })
