import { Type } from '@sinclair/typebox'
import { Change, Creation, Name, RecordOf, Ref } from '../../../core/http/schema.ts'
import { maxStages, PipelineStage } from '../stages/schema.ts'

const fields = {
  name: Name(100, {
    description: 'Name, unique regardless of case.',
    example: 'Partners'
  }),
  is_default: Type.Boolean({
    default: false,
    description:
      'Whether new opportunities without a `pipeline_id` use this pipeline. Exactly one ' +
      'pipeline is the default; making another one the default unsets it.',
    example: false
  })
}
const stages = Type.Array(Ref(PipelineStage), {
  minItems: 1,
  maxItems: maxStages,
  description:
    'Stages in order, at least one of them open. Default: the six stages that an organization ' +
    'starts with.'
})

// an organization starts with pipeline 1
export const Pipeline = RecordOf(
  'Pipeline',
  'A sales process: the stages that opportunities go through.',
  fields,
  2
)
export const NewPipeline = Creation('NewPipeline', { ...fields, stages }, ['name'], {
  name: 'Partners',
  stages: [
    { key: 'contacted', name: 'Contacted', probability: 20, next_stages: ['agreed', 'lost'] },
    { key: 'agreed', name: 'Agreed', probability: 80, required_fields: ['amount'] },
    { key: 'won', name: 'Won', kind: 'won' },
    { key: 'lost', name: 'Lost', kind: 'lost' }
  ]
})
export const PipelineChanges = Change('PipelineChanges', fields, { name: 'Resellers' })
