import type { Static } from '@sinclair/typebox'
import type { RowOf } from '../../../core/records/repository.ts'
import { impossibleMove, ruleBroken } from '../../../core/errors.ts'
import { probabilityOf, type Stage } from '../stages/service.ts'
import type { OpportunityChanges } from './schema.ts'
import { requirable, type opportunities } from './table.ts'

type Opportunity = RowOf<typeof opportunities>
type Changes = Static<typeof OpportunityChanges>

const decided = ['pipeline_id', 'stage', 'probability', 'lost_reason'] as const
/** Whether a change can meet a rule of a stage. */
export const concernsStage = (changes: Changes): boolean =>
  decided.some(field => changes[field] !== undefined) ||
  requirable.some(field => changes[field] === null)

/** One of the stages of a pipeline. Errors: 422. */
export function stageOf(stages: Stage[], key: string): Stage {
  const stage = stages.find(stage => stage.key === key)
  if (!stage)
    throw ruleBroken(
      'stage',
      `There is no stage ${key} in this pipeline; there is ${stages.map(({ key }) => key).join(', ')}.`
    )
  return stage
}

/** Errors: 409 when the stage in which an opportunity is does not let it move to another one of the same pipeline. */
export function refuseImpossible(before: Opportunity, stage: Stage, stages: Stage[]): void {
  const next = stages.find(({ key }) => key === before.stage)?.next_stages
  if (stage.pipeline_id !== before.pipeline_id || !next || next.includes(stage.key)) return
  const allowed = stages.map(({ key }) => key).filter(key => next.includes(key))
  throw impossibleMove(
    'stage',
    `From ${before.stage} one cannot move to ${stage.key}; to ${allowed.join(', ') || 'no other stage'}.`,
    allowed
  )
}

/** Errors: 422 at each field that a stage asks for and the opportunity has not. */
export function refuseMissing(stage: Stage, opportunity: Changes): void {
  const missing = stage.required_fields.filter(field => (opportunity[field] ?? null) === null)
  if (missing.length > 0)
    throw ruleBroken(missing, `The stage ${stage.key} asks for ${missing.join(', ')}.`)
}

/** What becomes of an opportunity that comes to a stage, from where it was `before` if it is not new. Errors: 422. */
export function arrival(stage: Stage, given: Changes, before?: Opportunity) {
  const status = stage.kind
  const lost_reason =
    (status === 'lost' && given.lost_reason === undefined
      ? before?.lost_reason
      : given.lost_reason) ?? null
  refuseReason(status, lost_reason)
  const now = new Date().toISOString()
  return {
    pipeline_id: stage.pipeline_id,
    stage: stage.key,
    status,
    lost_reason,
    probability: probabilityOf(status, given.probability ?? stage.probability),
    ...(before?.status !== status && { closed_at: status === 'open' ? null : now }),
    // the trigger stamps those that come to another stage, and this one is called the same
    ...(before?.stage === stage.key && { moved_at: now })
  }
}

/** What stays as it is is not judged: a form that sends it back must not fail for it. `stage` is undefined when it is deleted. Errors: 422. */
export function refuseContradiction(
  before: Opportunity,
  changes: Changes,
  stage: Stage | undefined
): void {
  const changed = Object.fromEntries(
    Object.entries(changes).filter(([field, value]) => value !== before[field as keyof Opportunity])
  ) as Changes
  if (changed.probability !== undefined) probabilityOf(before.status, changed.probability)
  if (changed.lost_reason !== undefined) refuseReason(before.status, changed.lost_reason)
  if (stage)
    refuseMissing(
      { ...stage, required_fields: stage.required_fields.filter(field => changed[field] === null) },
      changed
    )
}

function refuseReason(status: Opportunity['status'], lost_reason: string | null): void {
  if (status === 'lost' && lost_reason === null)
    throw ruleBroken('lost_reason', 'Say why it is lost.')
  if (status !== 'lost' && lost_reason !== null)
    throw ruleBroken('lost_reason', `What is ${status} has no reason to be lost.`)
}
