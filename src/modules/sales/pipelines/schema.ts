import { Type } from '@sinclair/typebox'
import { Change, Creation, Name, RecordOf, Ref } from '../../../core/http/schema.ts'
import { mostStages, PipelineStage } from '../stages/schema.ts'

const fields = {
  name: Name(100, {
    description: 'What it is called; unique, whatever the case.',
    example: 'Partners'
  }),
  is_default: Type.Boolean({
    default: false,
    description:
      'Whether opportunities that name no pipeline go through it. One pipeline is it; it gives way when another one becomes it.',
    example: false
  })
}
const stages = Type.Array(Ref(PipelineStage), {
  minItems: 1,
  maxItems: mostStages,
  description:
    'Its stages in their order, one of them open. Default: the six that an organisation begins with.'
})

// an organisation begins with pipeline 1
export const Pipeline = RecordOf(
  'Pipeline',
  'A way of selling: the stages an opportunity goes through.',
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
