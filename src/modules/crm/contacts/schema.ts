import { Type } from '@sinclair/typebox'
import { filterLanguage } from '../../../core/records/list-query.ts'
import {
  Change,
  Creation,
  Email,
  Id,
  Name,
  Nullable,
  RecordOf,
  TagIds,
  Text
} from '../../../core/http/schema.ts'
import { searchable } from './table.ts'

const fields = {
  first_name: Name(50, { description: 'The given name.', example: 'John' }),
  last_name: Name(50, { description: 'The family name.', example: 'Doe' }),
  email: Nullable(Email({ description: 'The e-mail.', example: 'john.doe@example.com' })),
  phone: Nullable(Text(20, { description: 'The telephone number.', example: '+1234567890' })),
  company: Nullable(
    Text(100, {
      description: 'The company, as the person says it; see also account_id.',
      example: 'Example Corp'
    })
  ),
  position: Nullable(
    Text(100, { description: 'What the person does there.', example: 'Head of Purchasing' })
  ),
  account_id: Nullable(Id({ description: 'The account the person belongs to.', example: 1 })),
  tags: TagIds()
}

export const Contact = RecordOf('Contact', 'A person we deal with.', fields)
export const NewContact = Creation('NewContact', fields, ['first_name', 'last_name'], {
  first_name: 'John',
  last_name: 'Doe',
  email: 'john.doe@example.com',
  phone: '+1234567890',
  company: 'Example Corp'
})
export const ContactChanges = Change('ContactChanges', fields, {
  first_name: 'John',
  last_name: 'Smith',
  email: 'john.smith@example.com'
})

/** What lists of contacts can be filtered by, and the same for those who keep filters. */
export const contactFilter = [
  'id',
  'first_name',
  'last_name',
  'email',
  'phone',
  'company',
  'position',
  'account_id',
  'tags',
  'created_by',
  'created_at',
  'updated_at'
] as const
export const contactLanguage = filterLanguage({
  record: Contact,
  filter: contactFilter,
  search: searchable
})

/** Filters that are no fields: questions asked today, which kept filters would not ask again. */
export const contactScopes = {
  campaign_id: Id({ description: 'It is a member of this campaign.' }),
  active_since: Type.String({
    format: 'date-time-or-duration',
    maxLength: 40,
    description:
      'There are activities since then: a date, a date and time, or hours, days or weeks before now, such as `12h`, `30d` or `2w`. With `include=activities`, only those are shown.'
  })
}
