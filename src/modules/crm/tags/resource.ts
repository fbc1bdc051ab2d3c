import { sql } from '../../../core/db/drizzle.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { NewTag, Tag, TagChanges } from './schema.ts'
import { filterable, tags } from './table.ts'

export const tagResource = defineResource({
  name: 'tag',
  plural: 'tags',
  description: 'Labels for records.',
  table: tags,
  schema: Tag,
  create: NewTag,
  update: TagChanges,
  filters: ['id', ...filterable],
  sorts: ['id', ...filterable],
  title: sql`${tags.name}`,
  access: 'shared'
})
