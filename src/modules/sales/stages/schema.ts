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
  Ref
} from '../../../core/http/schema.ts'
import { requirable, statuses } from '../opportunities/table.ts'

/** What names a stage in opportunities. */
export const StageKey = (description: string, example = 'proposal') =>
  Type.String({ minLength: 1, maxLength: 50, pattern: '^[a-z][a-z0-9_]*$', description, example })

/** How many stages a pipeline can have. */
export const mostStages = 100

const changeable = {
  name: Name(100, { description: 'What people call it.', example: 'Demo' }),
  position: Count({
    maximum: 1_000_000,
    description:
      'Where it stands: stages are in the order of their positions. Default: of an open one after the last open one, and those behind it make room; of another one at the end.',
    example: 5
  }),
  probability: Type.Integer({
    format: 'int32',
    minimum: 0,
    maximum: 100,
    description:
      'What comes to it is this likely, in per cent, unless said otherwise: 100 for won, 0 for lost.',
    example: 60
  }),
  kind: OneOf(statuses, {
    default: 'open',
    description: 'What it means for an opportunity to be here.',
    example: 'open'
  }),
  required_fields: Type.Array(OneOf(requirable), {
    maxItems: requirable.length,
    uniqueItems: true,
    description: 'What an opportunity must have to come here.',
    example: ['amount']
  }),
  next_stages: Nullable(
    Type.Array(StageKey('The key of a stage.'), {
      maxItems: mostStages,
      uniqueItems: true,
      description:
        'The keys of the stages to which one can move from here; null: to all. A change of pipeline is free.',
      example: null
    })
  )
}
const key = StageKey(
  'Its name in opportunities, and in the pipeline its own; it never changes.',
  'demo'
)
const pipeline_id = Id({ description: 'The pipeline it is a part of.', example: 1 })

// an organisation begins with stages 1 to 6
export const Stage = RecordOf(
  'Stage',
  'A step of a pipeline.',
  { pipeline_id, key, ...changeable },
  7
)
export const NewStage = Creation(
  'NewStage',
  { pipeline_id, key, ...changeable },
  ['pipeline_id', 'key', 'name'],
  { pipeline_id: 1, key: 'demo', name: 'Demo', probability: 60, required_fields: ['amount'] }
)
export const StageChanges = Change('StageChanges', changeable, {
  name: 'Demonstration',
  probability: 65
})
const { position: _position, ...unplaced } = changeable
/** A stage that is made with its pipeline, at its place in the list. */
export const PipelineStage = Creation('PipelineStage', { key, ...unplaced }, ['key', 'name'], {
  key: 'won',
  name: 'Won',
  kind: 'won'
})
/** The stages of a pipeline, where `include=stages` asks for them. */
export const StageList = Type.Array(Ref(Stage), { maxItems: mostStages })
