import { impossibleMove, ruleBroken } from '../../../core/errors.ts'
import type { RowOf } from '../../../core/records/resource.ts'
import { hasChanged, rulesFor } from '../../../core/records/rules.ts'
import { certainProbability, type Stage } from '../stages/rules.ts'
import type { opportunityResource } from './resource.ts'
import { requirable } from './table.ts'

export type Opportunity = RowOf<typeof opportunityResource>

/** What the rules of opportunities need besides the record. */
interface Process {
  /** The stages of the pipeline, in order. */
  stages: Stage[]
  /** The stage of the record; undefined if it has been deleted. */
  stage: Stage | undefined
}

const rule = rulesFor<Opportunity, Process>()

type Place = Pick<Opportunity, 'pipeline_id' | 'stage'>

/** Whether an opportunity enters its stage: a new one does, and one that had another stage. */
const entersStage = ({ before, after }: { before: Place | undefined; after: Place }) =>
  before?.stage !== after.stage || before.pipeline_id !== after.pipeline_id

/** A change of the pipeline is free. */
const transitionIsAllowed = rule(['pipeline_id', 'stage'], ({ before, after, stages }) => {
  if (!before || before.pipeline_id !== after.pipeline_id) return
  const next = stages.find(({ key }) => key === before.stage)?.next_stages
  if (before.stage === after.stage || !next || next.includes(after.stage)) return
  const allowed = stages.map(({ key }) => key).filter(key => next.includes(key))
  throw impossibleMove(
    'stage',
    `${before.stage} cannot be followed by ${after.stage}; allowed next stages: ` +
      `${allowed.join(', ') || 'none'}.`,
    allowed
  )
})

/** Within its stage, an opportunity may lack what it lacked before. */
const stageRequirementsAreMet = rule(
  [...requirable, 'pipeline_id', 'stage'],
  ({ before, after, stage }) => {
    const required = stage?.required_fields ?? []
    const missing = required.filter(
      field => after[field] === null && (entersStage({ before, after }) || before![field] !== null)
    )
    if (missing.length > 0)
      throw ruleBroken(missing, `The stage ${after.stage} requires ${missing.join(', ')}.`, {
        rule: 'required_by_stage',
        stage: after.stage,
        fields: missing
      })
  }
)

const whenLost = { field: 'status', values: ['lost'] }

const onlyLostHasReason = rule(
  ['pipeline_id', 'stage', 'status', 'lost_reason'],
  ({ before, after }) => {
    if (!entersStage({ before, after }) && !hasChanged({ before, after }, 'lost_reason')) return
    const { status, lost_reason } = after
    if (status === 'lost' && lost_reason === null)
      throw ruleBroken('lost_reason', '`lost_reason` is required when an opportunity is lost.', {
        rule: 'required_when',
        ...whenLost
      })
    if (status !== 'lost' && lost_reason !== null)
      throw ruleBroken(
        'lost_reason',
        '`lost_reason` is only allowed when the opportunity is lost.',
        { rule: 'only_when', ...whenLost }
      )
  }
)

const closedIsCertain = rule(
  ['pipeline_id', 'stage', 'status', 'probability'],
  ({ before, after }) => {
    if (!entersStage({ before, after }) && !hasChanged({ before, after }, 'probability')) return
    const certain = certainProbability(after.status)
    if (certain === undefined || after.probability === certain) return
    throw ruleBroken(
      'probability',
      `The probability of a ${after.status} opportunity must be ${certain}.`,
      { rule: 'certain', kind: after.status, probability: certain }
    )
  }
)

/** What must hold whenever an opportunity is created or updated. */
export const opportunityRules = [
  transitionIsAllowed,
  stageRequirementsAreMet,
  onlyLostHasReason,
  closedIsCertain
]
