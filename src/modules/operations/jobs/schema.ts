import { Type } from '@sinclair/typebox'
import {
  Count,
  Id,
  Instant,
  Key,
  Nullable,
  OneOf,
  PageOf,
  Text
} from '../../../core/http/schema.ts'
import { jobKinds, jobStates } from '../../../core/user-jobs.ts'

/** The schema of a job, when all kinds are defined. */
export const jobSchema = () =>
  Type.Object(
    {
      id: Id({ description: 'Job ID.', example: 1 }),
      kind: Key(40, {
        description: `Kind: ${jobKinds()
          .map(kind => `\`${kind}\``)
          .join(', ')}.`,
        example: 'add_members'
      }),
      state: OneOf(jobStates, {
        description:
          'State. `waiting` until it begins; `cancelling` until the batch that is running has ' +
          'ended. The last three are final.',
        example: 'running'
      }),
      is_cancelable: Type.Boolean({ description: 'Whether it can be canceled.', example: true }),
      progress: Type.Object(
        {
          done: Count({ description: 'Records that it has gone through.', example: 2000 }),
          total: Nullable(Count({ description: 'All records; null if unknown.', example: null }))
        },
        { additionalProperties: false, description: 'Progress.' }
      ),
      result: Nullable(
        Type.Object(
          {},
          {
            additionalProperties: true,
            description: 'What it has done so far; the kind determines the fields.',
            example: { added: 1800 }
          }
        )
      ),
      error: Nullable(
        Type.Object(
          {
            code: Text(50, { description: 'Code, as of problems.', example: 'forbidden' }),
            detail: Text(2000, {
              description: 'Explanation.',
              example: 'This requires the permission campaign-members:create.'
            })
          },
          { additionalProperties: false, description: 'Why it failed.', example: null }
        )
      ),
      operation_id: Nullable(
        Id({ description: 'Operation that its changes are a part of.', example: null })
      ),
      created_by: Nullable(
        Id({ description: 'User who started it; null for the system.', example: 1 })
      ),
      created_at: Instant({ description: 'Creation time.', example: '2026-11-22T09:00:00.000Z' }),
      started_at: Nullable(
        Instant({ description: 'Time of its beginning.', example: '2026-11-22T09:00:01.000Z' })
      ),
      ended_at: Nullable(Instant({ description: 'Time of its end.', example: null }))
    },
    { $id: 'Job', additionalProperties: false, description: 'Work in the background.' }
  )

export const JobPage = PageOf({ ...Type.Object({}), $id: 'Job' })
