import { Type } from '@sinclair/typebox'
import {
  Change,
  Count,
  explained,
  Id,
  Instant,
  Name,
  OneOf,
  Text
} from '../../../core/http/schema.ts'
import { maxTimeZone } from '../../../core/db/columns.ts'
import { maxSessionDays, maxSlug, secondFactorPolicies, weekdays } from './table.ts'

const days = (description: string, example: number) =>
  Type.Integer({ format: 'int32', minimum: 1, maximum: maxSessionDays, description, example })

/** The name of an organization in logins. */
export const slug = (options: object) =>
  Type.String({
    minLength: 1,
    maxLength: maxSlug,
    pattern: explained(
      '^[a-z0-9-]*$',
      'must contain only lowercase letters, digits and hyphens',
      'slug'
    ),
    example: 'smartx',
    ...options
  })

export const settings = {
  name: Name(200, { description: 'Name.', example: 'SmartX' }),
  time_zone: Text(maxTimeZone, {
    minLength: 1,
    description:
      'Time zone, by its name in the IANA database: where the days of filters and the months of ' +
      'reports begin.',
    example: 'Europe/Berlin'
  }),
  locale: Text(35, { minLength: 2, description: 'Locale, as in BCP 47.', example: 'de-DE' }),
  currency: Type.String({
    minLength: 3,
    maxLength: 3,
    pattern: explained('^[A-Z]{3}$', 'must be three capital letters', 'currency'),
    description: 'Currency of all amounts, as in ISO 4217.',
    example: 'EUR'
  }),
  week_starts_on: OneOf(weekdays, { description: 'First day of the week.', example: 'monday' }),
  session_idle_days: days(
    'Days without a refresh after which a session ends; at most `session_absolute_days`.',
    30
  ),
  session_absolute_days: days('Days after its login at which a session ends in any case.', 90),
  second_factor: OneOf(secondFactorPolicies, {
    description:
      'Second factor of users who log in with a password. While it is required, the sessions of ' +
      'users without one are only accepted below `/api/auth`, to enroll one. API tokens are not ' +
      'affected.',
    example: 'optional'
  })
}
const identity = {
  id: Id({ description: 'Organization ID.', example: 1 }),
  slug: slug({ description: 'Name in logins; it never changes.' })
}

export const Organization = Type.Object(
  {
    ...identity,
    ...settings,
    version: Count({ description: 'Version; the ETag.', example: 1 }),
    created_at: Instant({ description: 'Creation time.', example: '2026-11-27T09:00:00.000Z' }),
    updated_at: Instant({
      description: 'Time of the last change.',
      example: '2026-11-27T09:00:00.000Z'
    })
  },
  { $id: 'Organization', additionalProperties: false, description: 'An organization.' }
)

/** What a user needs to know of their organization, for `/api/auth/me`. */
export const OrganizationSummary = Type.Object(
  { ...identity, ...settings },
  { additionalProperties: false, description: 'Organization of the user.' }
)

export const OrganizationChanges = Change('OrganizationChanges', settings, {
  time_zone: 'Europe/Berlin',
  currency: 'EUR'
})
