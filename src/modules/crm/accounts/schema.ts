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
  TagIds,
  Text
} from '../../../core/http/schema.ts'
import { statuses, types } from './table.ts'

const fields = {
  name: Name(200, { description: 'What the company is called.', example: 'Example Corp' }),
  industry: Nullable(
    Text(100, { description: 'The branch it works in.', example: 'Manufacturing' })
  ),
  website: Nullable(
    Text(255, { description: 'Its address on the web.', example: 'https://example.com' })
  ),
  phone: Nullable(Text(20, { description: 'Its telephone number.', example: '+1234567890' })),
  email: Nullable(Email({ description: 'Its e-mail.', example: 'office@example.com' })),
  address: Nullable(Text(255, { description: 'Street and number.', example: '1 Main Street' })),
  city: Nullable(Text(100, { description: 'The town.', example: 'Springfield' })),
  state: Nullable(Text(100, { description: 'The state or province.', example: 'Illinois' })),
  country: Nullable(Text(100, { description: 'The country.', example: 'United States' })),
  postal_code: Nullable(Text(20, { description: 'The postal code.', example: '62701' })),
  annual_revenue: Nullable(
    Money(9_999_999_999_999.99, { description: 'Turnover of a year.', example: 1250000.5 })
  ),
  employee_count: Nullable(Count({ description: 'How many people work there.', example: 120 })),
  status: OneOf(statuses, {
    default: 'active',
    description: 'Whether business is done with it.',
    example: 'active'
  }),
  type: OneOf(types, {
    default: 'prospect',
    description: 'What it is to us.',
    example: 'customer'
  }),
  parent_account_id: Nullable(
    Id({ description: 'The account it belongs to; a hierarchy without cycles.', example: null })
  ),
  assigned_to: Nullable(Id({ description: 'The user who looks after it.', example: 1 })),
  tags: TagIds()
}

export const Account = RecordOf('Account', 'A company we deal with.', fields)
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

/** What lists of accounts can be filtered by. */
export const accountFilter = [
  'id',
  'name',
  'industry',
  'city',
  'state',
  'country',
  'status',
  'type',
  'annual_revenue',
  'employee_count',
  'parent_account_id',
  'assigned_to',
  'tags',
  'created_at',
  'updated_at'
] as const
