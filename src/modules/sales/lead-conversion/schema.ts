import { Type, type Static, type TObject, type TProperties } from '@sinclair/typebox'
import { FieldNames, Id, Instant, Nullable, OneOf, Ref, Text } from '../../../core/http/schema.ts'
import { Account, AccountChanges } from '../../crm/accounts/schema.ts'
import { Contact, ContactChanges } from '../../crm/contacts/schema.ts'
import { Lead } from '../../crm/leads/schema.ts'
import { Opportunity, OpportunityChanges } from '../opportunities/schema.ts'
import { partNames } from './table.ts'

const PartOf = <P extends TProperties>(fields: P, one: string, absent: string) =>
  Type.Optional(
    Nullable(
      Type.Object(
        {
          id: Type.Optional(Id({ description: `ID of the existing ${one}.`, example: 1 })),
          ...fields
        },
        {
          additionalProperties: false,
          description:
            `With \`id\`: an existing ${one}, whose null fields are set to the given values. ` +
            `Without \`id\`: a new one. null: none. Default: ${absent}.`
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
      "the contact's account, the only account with the name of the contact's company, or a new " +
        'one'
    ),
    contact: PartOf(ContactChanges.properties, 'contact', 'the contact of the lead'),
    opportunity: PartOf(
      opportunityFields,
      'opportunity',
      'a new one, named after the account or the contact'
    )
  },
  {
    $id: 'NewConversion',
    additionalProperties: false,
    description:
      'The records to convert a lead into. A new account may omit `name` if the contact has a ' +
      'company; a new opportunity may omit `title`. New records without `assigned_to` are ' +
      'assigned to the same user as the lead.',
    example: { opportunity: { title: 'Enterprise Software License', amount: 50000.0 } }
  }
)

/**
 * A record, or what the caller sees of it, or null; in full, since OpenAPI 3.0 knows no reference
 * that may be null.
 */
function OrNull<T extends TObject>({ properties }: T, description: string) {
  const whole = Type.Object(properties, { additionalProperties: false })
  const partial = Type.Partial(whole, { additionalProperties: false })
  return Type.Unsafe<Static<T> | null>({
    description,
    anyOf: [Nullable(whole), Nullable(partial)]
  })
}

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

export const Conversion = Type.Object(
  {
    lead: Ref(Lead),
    account: OrNull(Account, 'The account as it is now; null if there is none.'),
    contact: OrNull(Contact, 'The contact as it is now; null if there is none.'),
    opportunity: OrNull(Opportunity, 'The opportunity as it is now; null if there is none.'),
    created: Type.Array(OneOf(partNames), {
      maxItems: 3,
      description: 'Records that the conversion created.'
    }),
    filled: Type.Object(
      {
        account: FieldNames('Fields of the account.', []),
        contact: FieldNames('Fields of the contact.', ['account_id']),
        opportunity: FieldNames('Fields of the opportunity.', [])
      },
      {
        additionalProperties: false,
        description: 'Null fields that the conversion filled.'
      }
    ),
    converted_at: Instant({ description: 'Time when the lead was converted.' }),
    converted_by: Nullable(Id({ description: 'User who converted the lead; null for the system.' }))
  },
  {
    $id: 'Conversion',
    additionalProperties: false,
    description: 'The conversion of a lead.',
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
  type: OneOf(['lead', ...partNames], { description: 'Type of record.', example: 'opportunity' }),
  id: Id({ description: 'Record ID.', example: 1 })
}

export const UndoneConversion = Type.Object(
  {
    lead: Ref(Lead),
    undone: Type.Array(
      Type.Object(
        {
          ...subject,
          fields: Type.Optional(
            FieldNames('Fields that were cleared; absent if the record was deleted.', [
              'account_id'
            ])
          )
        },
        { additionalProperties: false }
      ),
      { maxItems: 3, description: 'Changes that were undone.' }
    ),
    left: Type.Array(
      Type.Object(
        {
          ...subject,
          reason: Text(2000, {
            description: 'Reason.',
            example: 'It has since changed.'
          })
        },
        { additionalProperties: false }
      ),
      { maxItems: 4, description: 'Changes that were not undone, by record.' }
    )
  },
  {
    $id: 'UndoneConversion',
    additionalProperties: false,
    description: 'The result of undoing a conversion.',
    example: {
      lead: sample(Lead),
      undone: [{ type: 'contact', id: 1, fields: ['account_id'] }],
      left: [{ type: 'opportunity', id: 1, reason: 'It has since changed.' }]
    }
  }
)
