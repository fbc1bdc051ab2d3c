import { conflict, ruleBroken } from '../../../core/errors.ts'
import type { RowOf } from '../../../core/records/resource.ts'
import type { stageResource } from './resource.ts'

export type Stage = RowOf<typeof stageResource>

export const isOpen = ({ kind }: Pick<Stage, 'kind'>): boolean => kind === 'open'

/** The probability of a closed stage; undefined for an open one. */
export const certainProbability = (kind: Stage['kind']): number | undefined =>
  ({ open: undefined, won: 100, lost: 0 })[kind]

/**
 * The probability of a stage of this kind: the one given, unless it contradicts the kind. Errors:
 * 422 at `field`.
 */
export function probabilityOf(
  kind: Stage['kind'],
  given: number | undefined,
  field = 'probability'
): number {
  const certain = certainProbability(kind)
  const probability = given ?? certain
  if (probability === undefined)
    throw ruleBroken(field, 'An open stage requires a probability.', { rule: 'required' })
  if (certain !== undefined && probability !== certain)
    throw ruleBroken(field, `The probability of a ${kind} stage must be ${certain}.`, {
      rule: 'certain',
      kind,
      probability: certain
    })
  return probability
}

/** Errors: 422 at the first of `next_stages` that is not among `keys`. */
export function assertNextStages(
  next_stages: string[] | null | undefined,
  keys: string[],
  field = 'next_stages'
): void {
  const i = next_stages?.findIndex(key => !keys.includes(key)) ?? -1
  if (i < 0) return
  throw ruleBroken(
    `${field}/${i}`,
    `There is no other stage ${next_stages![i]} in this pipeline.`,
    { rule: 'unknown_stage', value: next_stages![i], allowed: keys }
  )
}

/** Errors: 409 when none of the stages is open. */
export function assertOneOpen(stages: Pick<Stage, 'kind'>[]): void {
  if (!stages.some(isOpen))
    throw conflict('This is the last open stage of the pipeline, which needs at least one.')
}
