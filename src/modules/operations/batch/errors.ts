import { defined } from '../../../core/defined.ts'
import { Problem, type Fault } from '../../../core/errors.ts'
import type { Results } from './run.ts'

/** The body of a problem, as a response has it. */
export type BodyOf = (problem: Problem) => object

/** For an operation that refers to one that failed, or is in a batch of which nothing was done. */
export const failedDependency = (detail: string) => new Problem(424, 'failed_dependency', detail)

/** The faults of an operation, at their places in the batch. */
function faultsOf(index: number, { code, detail, extra }: Problem): Fault[] {
  const place = `/operations/${index}`
  const { errors = [{ code, detail }] } = extra
  return errors.map(({ pointer, ...fault }) => ({
    ...fault,
    pointer: pointer === undefined ? place : `${place}/data${pointer}`
  }))
}

const maxFaults = 1_000

/** For an atomic batch in which operations failed. */
export function batchRejected({ results, problems }: Results, bodyOf: BodyOf): Problem {
  const errors = [...problems].flatMap(([index, problem]) => faultsOf(index, problem))
  const other = failedDependency('Another operation of the batch failed.')
  const told = results.map(({ index, ref }) => {
    const problem = problems.get(index) ?? other
    return { index, ...defined({ ref }), status: problem.status, problem: bodyOf(problem) }
  })
  const detail = `${problems.size} of ${results.length} operations failed; nothing was done.`
  return new Problem(422, 'batch_rejected', detail, {
    errors: errors.slice(0, maxFaults),
    members: { results: told }
  })
}
