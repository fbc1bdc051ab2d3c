import { Type } from '@sinclair/typebox'
import { Count, Instant, Nullable, Text } from '../../../core/http/schema.ts'

export const SecondFactor = Type.Object(
  {
    is_enabled: Type.Boolean({ description: 'Whether logins require a code.', example: true }),
    enabled_since: Nullable(
      Instant({
        description: 'Time since which they do; null if they do not.',
        example: '2026-11-27T09:00:00.000Z'
      })
    ),
    recovery_codes_left: Count({
      description: 'Number of recovery codes that were not used.',
      maximum: 10,
      example: 10
    }),
    is_required: Type.Boolean({
      description: 'Whether the organization requires a second factor.',
      example: false
    })
  },
  {
    $id: 'SecondFactor',
    additionalProperties: false,
    description: 'The second factor of the user.'
  }
)

export const SecondFactorEnrollment = Type.Object(
  {
    secret: Text(64, {
      description: 'Secret in base32, for apps into which it is typed. It is never shown again.',
      example: 'TAKETHEONEOFYOURENROLLMENTINSTEA'
    }),
    uri: Text(1000, {
      description: 'URI for apps, to be shown as a QR code.',
      example:
        'otpauth://totp/SmartX%20CRM:maria%20(smartx)?issuer=SmartX%20CRM&' +
        'secret=TAKETHEONEOFYOURENROLLMENTINSTEA&algorithm=SHA1&digits=6&period=30'
    })
  },
  {
    $id: 'SecondFactorEnrollment',
    additionalProperties: false,
    description: 'A secret for an authenticator app.'
  }
)

export const SecondFactorConfirmation = Type.Object(
  { code: Text(40, { minLength: 1, description: 'Six digits from the app.', example: '123456' }) },
  {
    $id: 'SecondFactorConfirmation',
    additionalProperties: false,
    description: 'Proof that the app has the secret: the code that it shows.'
  }
)

export const RecoveryCodes = Type.Object(
  {
    recovery_codes: Type.Array(Text(19), {
      maxItems: 10,
      description: 'Codes for logins without the app. Each works once; they are never shown again.',
      example: ['ABCD-EFGH-IJKL-MNOP']
    })
  },
  { $id: 'RecoveryCodes', additionalProperties: false, description: 'New recovery codes.' }
)
