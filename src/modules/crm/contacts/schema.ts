import { ExternalIds } from '../../../core/http/external-ids.ts'
import {
  Change,
  Creation,
  Email,
  Id,
  Name,
  Nullable,
  RecordOf,
  Text
} from '../../../core/http/schema.ts'
import { TagIds } from '../tags/schema.ts'

const fields = {
  first_name: Name(50, { description: 'Given name.', example: 'John' }),
  last_name: Name(50, { description: 'Family name.', example: 'Doe' }),
  email: Nullable(Email({ description: 'Email address.', example: 'john.doe@example.com' })),
  phone: Nullable(Text(20, { description: 'Phone number.', example: '+1234567890' })),
  company: Nullable(
    Text(100, {
      description: 'Company name as given by the person; see also `account_id`.',
      example: 'Example Corp'
    })
  ),
  position: Nullable(Text(100, { description: 'Job title.', example: 'Head of Purchasing' })),
  account_id: Nullable(Id({ description: 'Account that the person belongs to.', example: 1 })),
  assigned_to: Nullable(Id({ description: 'User assigned to the contact.', example: 1 })),
  tags: TagIds(),
  external_ids: ExternalIds()
}

export const Contact = RecordOf('Contact', 'A person that the organization deals with.', fields)
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
