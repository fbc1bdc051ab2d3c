import { Type, type Static, type TObject, type TProperties } from '@sinclair/typebox'
import { Id, Instant, Nullable, OneOf, Ref, Text } from '../../../core/http/schema.ts'
import { Account, AccountChanges } from '../../crm/accounts/schema.ts'
import { Contact, ContactChanges } from '../../crm/contacts/schema.ts'
import { Lead } from '../../crm/leads/schema.ts'
import { Opportunity, OpportunityChanges } from '../opportunities/schema.ts'
import { parts } from './table.ts'

const PartOf = <P extends TProperties>(fields: P, one: string, absent: string) =>
  Type.Optional(
    Nullable(
      Type.Object(
        {
          id: Type.Optional(
            Id({ description: `The number of the ${one} that is there already.`, example: 1 })
          ),
          ...fields
        },
        {
          additionalProperties: false,
          description:
            `With \`id\`: the ${one} that is there, of which the fields given are filled where they are null. Without: a new one. ` +
            `null: none. Absent: ${absent}.`
        }
      )
    )
  )

const { lead_id: _, ...opportunityFields } = OpportunityChanges.properties

export const NewConversion = Type.Object(
  {
    account: PartOf(
      AccountChanges.properties,
      'account',
      "that of the contact; or the one that is called like the contact's company, a new one if there is none"
    ),
    contact: PartOf(ContactChanges.properties, 'contact', 'that of the lead'),
    opportunity: PartOf(
      opportunityFields,
      'opportunity',
      'a new one, titled after the account or else the contact'
    )
  },
  {
    $id: 'NewConversion',
    additionalProperties: false,
    description:
      'What a lead is to become. A new account may leave out its `name` if the contact has a company, a new opportunity its `title`; ' +
      'they get the user of the lead if they name none.',
    example: { opportunity: { title: 'Enterprise Software License', amount: 50000.0 } }
  }
)

/** A record, or null. A reference cannot be nullable in OpenAPI 3.0. */
const OrNull = <T extends TObject>(record: T, description: string) =>
  Type.Unsafe<Static<T> | null>({
    anyOf: [Ref(record), { type: 'object', nullable: true, enum: [null] }],
    description
  })

const sample = (record: TObject, fields: object = {}) => ({
  ...Object.fromEntries(
    Object.entries(record.properties).map(([name, { example }]) => [name, example as unknown])
  ),
  ...fields
})
const convertedLead = sample(Lead, {
  status: 'converted',
  converted_at: '2026-11-22T09:00:00.000Z'
})
const FieldNames = (description: string, example: string[]) =>
  Type.Array(Text(63), { maxItems: 50, description, example })

export const Conversion = Type.Object(
  {
    lead: Ref(Lead),
    account: OrNull(Account, 'The account as it is now; null if there is none, or not any more.'),
    contact: OrNull(Contact, 'The contact, likewise.'),
    opportunity: OrNull(Opportunity, 'The opportunity, likewise.'),
    created: Type.Array(OneOf(parts), {
      maxItems: 3,
      description: 'Which of them the conversion made.'
    }),
    filled: Type.Object(
      {
        account: FieldNames('Of the account.', []),
        contact: FieldNames('Of the contact.', ['account_id']),
        opportunity: FieldNames('Of the opportunity.', [])
      },
      {
        additionalProperties: false,
        description: 'The fields that were null and that the conversion filled.'
      }
    ),
    converted_at: Instant({ description: 'When the lead was converted.' }),
    converted_by: Nullable(Id({ description: 'The user who converted it; null for the system.' }))
  },
  {
    $id: 'Conversion',
    additionalProperties: false,
    description: 'What a lead was converted into.',
    example: {
      lead: convertedLead,
      account: sample(Account),
      contact: sample(Contact),
      opportunity: sample(Opportunity),
      created: ['opportunity'],
      filled: { account: [], contact: ['account_id'], opportunity: [] },
      converted_at: '2026-11-22T09:00:00.000Z',
      converted_by: 1
    }
  }
)

const subject = {
  type: OneOf(['lead', ...parts], { description: 'The kind of record.', example: 'opportunity' }),
  id: Id({ description: 'Its number.', example: 1 })
}

export const UndoneConversion = Type.Object(
  {
    lead: Ref(Lead),
    undone: Type.Array(
      Type.Object(
        {
          ...subject,
          fields: Type.Optional(
            FieldNames('The fields that are null again; absent where the record was deleted.', [
              'account_id'
            ])
          )
        },
        { additionalProperties: false }
      ),
      { maxItems: 3, description: 'What is as it was before.' }
    ),
    left: Type.Array(
      Type.Object(
        {
          ...subject,
          reason: Text(2000, {
            description: 'Why, for a person.',
            example: 'It has changed since.'
          })
        },
        { additionalProperties: false }
      ),
      { maxItems: 10, description: 'What was left as it is.' }
    )
  },
  {
    $id: 'UndoneConversion',
    additionalProperties: false,
    description: 'A lead whose conversion was taken back.',
    example: {
      lead: sample(Lead),
      undone: [{ type: 'contact', id: 1, fields: ['account_id'] }],
      left: [{ type: 'opportunity', id: 1, reason: 'It has changed since.' }]
    }
  }
)
