import { Type } from '@sinclair/typebox'
import { vocabulary } from '../core/vocabulary.ts'
import { Count, Id, Nullable, OneOf, Ref, Text } from '../core/http/schema.ts'
import { changeKinds } from '../core/records/events.ts'
import { LeftChange } from '../modules/operations/operations/schema.ts'

export const Effect = Type.Object(
  {
    type: Text(40, { description: 'Type of record.', example: 'contact' }),
    id: Id({
      description: 'Record ID; that of a new record will be another one.',
      example: 1
    }),
    version: Nullable(
      Count({
        minimum: 1,
        description: 'Version that the record will have; null for what has no version.',
        example: 2
      })
    ),
    op: OneOf(changeKinds, { description: 'What is done to the record.', example: 'updated' }),
    changed: Type.Array(Text(63), {
      maxItems: 200,
      description: 'Fields that an update changes.',
      example: ['email']
    })
  },
  { $id: 'Effect', additionalProperties: false, description: 'What a write does to one record.' }
)

/** What a response has after a dry run. */
export const effects = Type.Array(Ref(Effect), {
  maxItems: 100_000,
  description: 'For a dry run (`Prefer: dry-run`): what the request would do, in order.'
})

export const DryRun = Type.Object(
  { effects },
  {
    $id: 'DryRun',
    additionalProperties: false,
    description: 'A dry run of a request whose response has no body.'
  }
)

export const Problem = Type.Object(
  {
    type: Text(200, {
      description: 'URL that explains `code`.',
      example: '/api/problems/invalid'
    }),
    title: Text(100, { description: 'Reason phrase of the status.', example: 'Bad Request' }),
    status: Type.Integer({
      format: 'int32',
      minimum: 400,
      maximum: 599,
      description: 'HTTP status.',
      example: 400
    }),
    detail: Text(2000, {
      description: 'Human-readable explanation.',
      example: 'email must be an email address'
    }),
    instance: Text(2000, { description: 'Path of the request.', example: '/api/contacts' }),
    code: OneOf(Object.keys(vocabulary) as (keyof typeof vocabulary)[], {
      description: 'Machine-readable error code.',
      example: 'invalid'
    }),
    request_id: Text(64, {
      description: '`X-Request-Id` of the request; include it when you ask for help.',
      example: 'k3v9x2a1-1f'
    }),
    errors: Type.Optional(
      Type.Array(
        Type.Object(
          {
            pointer: Type.Optional(
              Text(500, {
                description: 'Location in the body, as a JSON pointer.',
                example: '/email'
              })
            ),
            parameter: Type.Optional(
              Text(500, {
                description: 'Path or query parameter.',
                example: 'limit'
              })
            ),
            code: Text(50, {
              description: 'Machine-readable error code.',
              example: 'format'
            }),
            detail: Text(2000, {
              description: 'Human-readable explanation.',
              example: 'email must be an email address'
            }),
            params: Type.Object(
              {},
              {
                additionalProperties: true,
                description:
                  'Values in `detail`, such as `minimum`, `allowed` or `known`. For ' +
                  '`rule_broken`, `rule` is the name of the rule; for `pattern`, `expected` is ' +
                  'the name of what is expected. With `code`, enough to write the text in ' +
                  'another language.',
                example: { format: 'idn-email' }
              }
            )
          },
          { additionalProperties: false }
        ),
        { maxItems: 1000, description: 'Invalid parts of the request.' }
      )
    ),
    allowed: Type.Optional(
      Type.Array(Text(100), {
        maxItems: 200,
        description: 'For `impossible_move`: allowed values.',
        example: ['negotiation', 'lost']
      })
    ),
    matches: Type.Optional(
      Type.Array(
        Type.Object(
          {
            type: Text(40, { description: 'Type of record.', example: 'contact' }),
            id: Id({ description: 'Record ID.', example: 1 }),
            name: Text(300, { description: 'Name of the record.', example: 'John Doe' }),
            by: Type.Array(Text(63), {
              maxItems: 20,
              description: 'Matching fields.',
              example: ['email']
            })
          },
          { additionalProperties: false }
        ),
        {
          maxItems: 50,
          description:
            'For `likely_duplicate`: similar records; for `ambiguous_match` and `deleted_match`: ' +
            'records that match.'
        }
      )
    ),
    effects: Type.Optional(
      Type.Array(Ref(Effect), {
        maxItems: 100_000,
        description: 'For `plan_stale`: what the request would do now, and is not in the plan.'
      })
    ),
    left: Type.Optional(
      Type.Array(LeftChange, {
        maxItems: 200,
        description: 'For `changed_since`: changes that cannot be undone.'
      })
    ),
    count: Type.Optional(
      Count({
        description: 'For `unexpected_count`: the number of records that match.',
        example: 3
      })
    ),
    results: Type.Optional(
      Type.Array(Ref({ $id: 'BatchResult' }), {
        maxItems: 1000,
        description: 'For `batch_rejected`: the results of all operations.'
      })
    ),
    organizations: Type.Optional(
      Type.Array(Text(63), {
        maxItems: 5,
        description: 'For `organization_required`: organizations to choose from.',
        example: ['smartx']
      })
    ),
    error: Type.Optional(Text(50, { description: 'OAuth 2 error code, for the token endpoint.' })),
    error_description: Type.Optional(
      Text(2000, { description: 'OAuth 2 error description, for the token endpoint.' })
    )
  },
  { $id: 'Problem', additionalProperties: false, description: 'An error (RFC 9457).' }
)
