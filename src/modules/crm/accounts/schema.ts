import { ExternalIds } from '../../../core/http/external-ids.ts'
import {
  Change,
  Count,
  Creation,
  Email,
  Id,
  Money,
  Name,
  Nullable,
  OneOf,
  RecordOf,
  Text
} from '../../../core/http/schema.ts'
import { TagIds } from '../tags/schema.ts'
import { statuses, types } from './table.ts'

const fields = {
  name: Name(200, { description: 'Company name.', example: 'Example Corp' }),
  industry: Nullable(Text(100, { description: 'Industry.', example: 'Manufacturing' })),
  website: Nullable(Text(255, { description: 'Website.', example: 'https://example.com' })),
  phone: Nullable(Text(20, { description: 'Phone number.', example: '+1234567890' })),
  email: Nullable(Email({ description: 'Email address.', example: 'office@example.com' })),
  address: Nullable(Text(255, { description: 'Street address.', example: '1 Main Street' })),
  city: Nullable(Text(100, { description: 'City.', example: 'Springfield' })),
  state: Nullable(Text(100, { description: 'State or province.', example: 'Illinois' })),
  country: Nullable(Text(100, { description: 'Country.', example: 'United States' })),
  postal_code: Nullable(Text(20, { description: 'Postal code.', example: '62701' })),
  annual_revenue: Nullable(
    Money(9_999_999_999_999.99, { description: 'Annual revenue.', example: 1250000.5 })
  ),
  employee_count: Nullable(Count({ description: 'Number of employees.', example: 120 })),
  status: OneOf(statuses, {
    default: 'active',
    description: 'Status.',
    example: 'active'
  }),
  type: OneOf(types, {
    default: 'prospect',
    description: 'Relationship to the organization.',
    example: 'customer'
  }),
  parent_account_id: Nullable(
    Id({ description: 'Parent account. The hierarchy must not contain cycles.', example: null })
  ),
  assigned_to: Nullable(Id({ description: 'User assigned to the account.', example: 1 })),
  tags: TagIds(),
  external_ids: ExternalIds()
}

export const Account = RecordOf('Account', 'A company that the organization deals with.', fields)
export const NewAccount = Creation('NewAccount', fields, ['name'], {
  name: 'Example Corp',
  industry: 'Manufacturing',
  website: 'https://example.com',
  city: 'Springfield',
  country: 'United States',
  annual_revenue: 1250000.5,
  employee_count: 120,
  type: 'customer'
})
export const AccountChanges = Change('AccountChanges', fields, { employee_count: 130 })
