import { Type } from '@sinclair/typebox'
import {
  Change,
  Count,
  Creation,
  Id,
  Name,
  Nullable,
  OneOf,
  RecordOf,
  Ref,
  Text,
  explained
} from '../../../core/http/schema.ts'
import { operators } from '../../../core/records/filter.ts'
import { grades } from '../../crm/leads/table.ts'
import { ruleFields } from './languages.ts'
import { statuses } from './table.ts'

const points = Type.Integer({
  format: 'int32',
  minimum: -10_000,
  maximum: 10_000,
  description: 'Points added to the score if the rule matches; negative points are subtracted.',
  example: 20
})
const rule = {
  field: Type.String({
    maxLength: 63,
    pattern: explained(
      '^(contact\\.)?[a-z_]+$',
      'must be a field of the lead, or of its contact with the prefix `contact.`',
      'field'
    ),
    description: `Field of the lead or of its contact: ${ruleFields.join(', ')}.`,
    example: 'contact.company'
  }),
  operator: OneOf<readonly string[]>(operators, {
    description:
      'Operator: `eq` corresponds to the filter `field=value`, any other to ' +
      '`field[operator]=value`.',
    example: 'like'
  }),
  value: Text(4000, {
    description:
      'Value, as in the query string of the list before percent-encoding, such as `50`, `true` ' +
      'or `website,fair`.',
    example: 'example'
  })
}

export const ScoringRule = Type.Object(
  { ...rule, points },
  {
    $id: 'ScoringRule',
    additionalProperties: false,
    description: 'A filter on leads or contacts, and its points.'
  }
)

const lowestScore = (grade: string, example: number) =>
  Type.Integer({
    format: 'int32',
    minimum: -1_000_000,
    maximum: 1_000_000,
    description: `Minimum score for grade ${grade}.`,
    example
  })
const fields = {
  name: Name(100, { description: 'Name.', example: 'Website leads' }),
  status: OneOf(statuses, {
    default: 'draft',
    description:
      'Status. Leads are scored by the active model; activating another one makes it a draft.',
    example: 'draft'
  }),
  rules: Type.Array(Ref(ScoringRule), {
    maxItems: 100,
    description: 'Rules. The score of a lead is the sum of the points of those that match.',
    example: [
      { field: 'source', operator: 'in', value: 'website,referral', points: 20 },
      { field: 'contact.company', operator: 'like', value: 'example', points: 30 }
    ]
  }),
  bands: Type.Object(
    { A: lowestScore('A', 80), B: lowestScore('B', 60), C: lowestScore('C', 40) },
    {
      additionalProperties: false,
      description:
        'Minimum scores of the grades, A above B above C; lower scores are graded D. Default ' +
        'for a new model: 80, 60, 40.',
      example: { A: 80, B: 60, C: 40 }
    }
  )
}

export const ScoringModel = RecordOf(
  'ScoringModel',
  'Rules that score leads. At most one model is active; without one, scores are set manually.',
  fields
)
export const NewScoringModel = Creation('NewScoringModel', fields, ['name'], {
  name: 'Website leads',
  rules: fields.rules.example as object[],
  bands: { A: 50, B: 30, C: 20 }
})
export const ScoringModelChanges = Change('ScoringModelChanges', fields, {
  bands: { A: 50, B: 40, C: 20 }
})

const model = Type.Object(
  {
    id: Id({ description: 'Scoring model ID.', example: 1 }),
    name: Text(100, { description: 'Name.', example: 'Website leads' }),
    version: Count({ description: 'Version.', example: 1 })
  },
  {
    additionalProperties: false,
    description: 'Model that computed the score; null if none is active.'
  }
)

export const LeadScore = Type.Object(
  {
    score: Type.Integer({
      format: 'int32',
      minimum: -2_147_483_648,
      maximum: 2_147_483_647,
      description: 'Sum of the points of the matching rules; without a model, the stored score.',
      example: 20
    }),
    grade: Nullable(OneOf(grades, { description: 'Grade; null without a model.', example: 'C' })),
    model: Nullable(model),
    rules: Type.Array(
      Type.Object(
        {
          ...rule,
          points,
          matched: Type.Boolean({ description: 'Whether the rule matches.', example: false }),
          actual: Nullable(
            Text(4000, {
              description: 'Value of the field, as text; null if it is empty.',
              example: 'Sample Inc'
            })
          )
        },
        { additionalProperties: false }
      ),
      { maxItems: 100, description: 'Rules of the model, in order.' }
    )
  },
  { $id: 'LeadScore', additionalProperties: false, description: "A lead's score, rule by rule." }
)
