import { Type } from '@sinclair/typebox'
import { operators } from '../../../core/records/filter.ts'
import { filterLanguage } from '../../../core/records/list-query.ts'
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
  Text
} from '../../../core/http/schema.ts'
import { contactFilter, contactLanguage } from '../../crm/contacts/schema.ts'
import { Lead, leadFilter, NewLead } from '../../crm/leads/schema.ts'
import { grades } from '../../crm/leads/table.ts'
import { statuses } from './table.ts'

/** Of a lead a rule can ask what a creation can give: but not the score itself, nor who gets the lead, which may depend on it. */
const leadFields = leadFilter.filter(
  field => field in NewLead.properties && field !== 'score' && field !== 'assigned_to'
)

/** The languages that rules are written in: filters of the list of leads, or, behind `contact.`, of the list of contacts. */
export const languages = {
  lead: {
    prefix: '',
    fields: leadFields as readonly string[],
    language: filterLanguage({ record: Lead, filter: leadFields })
  },
  contact: {
    prefix: 'contact.',
    fields: contactFilter as readonly string[],
    language: contactLanguage
  }
}
/** Everything that a rule can ask, as it is written there. */
export const ruleFields = Object.values(languages).flatMap(({ prefix, fields }) =>
  fields.map(field => prefix + field)
)

const points = Type.Integer({
  format: 'int32',
  minimum: -10_000,
  maximum: 10_000,
  description: 'What it is worth to the score when it holds; less than 0 takes away.',
  example: 20
})
const rule = {
  field: Type.String({
    maxLength: 63,
    pattern: '^(contact\\.)?[a-z_]+$',
    description: `What it looks at: ${ruleFields.join(', ')}.`,
    example: 'contact.company'
  }),
  operator: OneOf<readonly string[]>(operators, {
    description: 'How: `eq` is `field=value` of the list, any other `field[operator]=value`.',
    example: 'like'
  }),
  value: Text(4000, {
    description:
      'What it is compared with, written as in the query string of the list (before percent-encoding): `50`, `true`, `website,fair`.',
    example: 'example'
  })
}

export const ScoringRule = Type.Object(
  { ...rule, points },
  {
    $id: 'ScoringRule',
    additionalProperties: false,
    description: 'A filter of the list of leads, or of that of contacts, and what it is worth.'
  }
)

const limit = (grade: string, example: number) =>
  Type.Integer({
    format: 'int32',
    minimum: -1_000_000,
    maximum: 1_000_000,
    description: `From which score on a lead is graded ${grade}.`,
    example
  })
const fields = {
  name: Name(100, { description: 'What it is called.', example: 'Website leads' }),
  status: OneOf(statuses, {
    default: 'draft',
    description:
      'Whether leads are scored by it. Activating one makes the one that was active a draft.',
    example: 'draft'
  }),
  rules: Type.Array(Ref(ScoringRule), {
    maxItems: 100,
    description:
      'What makes a lead promising. Its score is the sum of the points of the rules that hold.',
    example: [
      { field: 'source', operator: 'in', value: 'website,referral', points: 20 },
      { field: 'contact.company', operator: 'like', value: 'example', points: 30 }
    ]
  }),
  bands: Type.Object(
    { A: limit('A', 80), B: limit('B', 60), C: limit('C', 40) },
    {
      additionalProperties: false,
      description:
        'The grades by score: A above B above C; below is D. If absent at creation: 80, 60, 40.',
      example: { A: 80, B: 60, C: 40 }
    }
  )
}

export const ScoringModel = RecordOf(
  'ScoringModel',
  'How leads are scored. One is active, or none: then scores are given by hand.',
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

export const LeadScore = Type.Object(
  {
    score: Type.Integer({
      format: 'int32',
      minimum: -2_147_483_648,
      maximum: 2_147_483_647,
      description:
        'The sum of the points of the rules that hold; without a model the score given by hand.',
      example: 20
    }),
    grade: Nullable(
      OneOf(grades, { description: 'The band it falls into; null without a model.', example: 'C' })
    ),
    model: Nullable(
      Type.Object(
        {
          id: Id({ description: 'Its number.', example: 1 }),
          name: Text(100, { description: 'What it is called.', example: 'Website leads' }),
          version: Count({ description: 'Its version.', example: 1 })
        },
        {
          additionalProperties: false,
          description: 'The model that says so; null when none is active.'
        }
      )
    ),
    rules: Type.Array(
      Type.Object(
        {
          ...rule,
          points,
          matched: Type.Boolean({ description: 'Whether it holds.', example: false }),
          actual: Nullable(
            Text(4000, {
              description: 'What the field is, as text; null if it is empty.',
              example: 'Sample Ltd'
            })
          )
        },
        { additionalProperties: false }
      ),
      { maxItems: 100, description: 'The rules of the model, in its order.' }
    )
  },
  {
    $id: 'LeadScore',
    additionalProperties: false,
    description: 'The score of a lead, rule by rule.'
  }
)
