import { Type } from '@sinclair/typebox'
import {
  Change,
  Count,
  Creation,
  Id,
  Name,
  Key,
  Nullable,
  OneOf,
  RecordOf,
  Ref
} from '../../../core/http/schema.ts'
import { requirable, statuses } from '../opportunities/table.ts'

/** The key of a stage, which opportunities refer to. */
const StageKey = (description: string, example = 'proposal') => Key(50, { description, example })

/** Maximum position of a stage. */
export const maxPosition = 1_000_000
/** Maximum number of stages of a pipeline. */
export const maxStages = 100

const changeable = {
  name: Name(100, { description: 'Name.', example: 'Demo' }),
  position: Count({
    maximum: maxPosition,
    description:
      'Position in the order of stages. Default: for an open stage, after the last open one, ' +
      'shifting later stages back; for others, at the end.',
    example: 5
  }),
  probability: Type.Integer({
    format: 'int32',
    minimum: 0,
    maximum: 100,
    description:
      'Default probability of opportunities in this stage, in percent: 100 for won, 0 for lost.',
    example: 60
  }),
  kind: OneOf(statuses, {
    default: 'open',
    description: 'Meaning of the stage: open, won or lost.',
    example: 'open'
  }),
  required_fields: Type.Array(OneOf(requirable), {
    maxItems: requirable.length,
    uniqueItems: true,
    description: 'Fields that an opportunity must have to enter the stage.',
    example: ['amount']
  }),
  next_stages: Nullable(
    Type.Array(StageKey('Key of a stage.'), {
      maxItems: maxStages,
      uniqueItems: true,
      description:
        'Keys of the stages that can follow this one; null: all. Moving to another pipeline is ' +
        'always allowed.',
      example: null
    })
  )
}
const key = StageKey(
  'Key that opportunities use for the stage, unique within the pipeline. It cannot be changed.',
  'demo'
)
const pipeline_id = Id({ description: 'Pipeline that the stage belongs to.', example: 1 })

// an organization starts with stages 1 to 6
export const Stage = RecordOf(
  'Stage',
  'A stage of a pipeline.',
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
/** A stage that is created with its pipeline, at its position in the list. */
export const PipelineStage = Creation('PipelineStage', { key, ...unplaced }, ['key', 'name'], {
  key: 'won',
  name: 'Won',
  kind: 'won'
})
/** The stages of a pipeline, for `include=stages`. */
export const StageList = Type.Array(Ref(Stage), { maxItems: maxStages })
