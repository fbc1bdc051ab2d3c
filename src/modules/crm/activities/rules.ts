import { impossibleMove, ruleBroken } from '../../../core/errors.ts'
import type { RowOf } from '../../../core/records/resource.ts'
import { hasChanged, rulesFor } from '../../../core/records/rules.ts'
import type { activityResource } from './resource.ts'

export type Activity = RowOf<typeof activityResource>

const rule = rulesFor<Activity>()

/** How far the clocks of clients may be ahead of ours, in milliseconds. */
const clockTolerance = 60_000

const cancelledIsNotCompleted = rule(['status'], ({ before, after }) => {
  if (before?.status !== 'cancelled' || after.status !== 'completed') return
  throw impossibleMove(
    'status',
    'A canceled activity cannot be completed: set it to planned first.',
    ['planned', 'in_progress']
  )
})

/** A form may send back the previous time unchanged. */
const completionIsInThePast = rule(['completed_at'], ({ before, after }) => {
  const { completed_at } = after
  if (!completed_at || !hasChanged({ before, after }, 'completed_at')) return
  if (Date.parse(completed_at) > Date.now() + clockTolerance)
    throw ruleBroken('completed_at', '`completed_at` must not be in the future.', {
      rule: 'not_in_future'
    })
})

const onlyCompletedHasTime = rule(['status', 'completed_at'], ({ before, after }) => {
  const { status, completed_at } = after
  if (status === 'completed' || !completed_at) return
  if (!hasChanged({ before, after }, 'completed_at')) return
  throw ruleBroken(
    'completed_at',
    '`completed_at` is only allowed when the activity is completed.',
    { rule: 'only_when', field: 'status', values: ['completed'] }
  )
})

/** What must hold whenever an activity is created or updated. */
export const activityRules = [cancelledIsNotCompleted, completionIsInThePast, onlyCompletedHasTime]
