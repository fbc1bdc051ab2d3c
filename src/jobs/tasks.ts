import type { Context } from '../core/access/context.ts'
import { defined } from '../core/defined.ts'
import type { Job, JobPayload } from '../core/jobs.ts'
import type { Batch, UserJob } from '../core/user-jobs.ts'
import {
  rescoreLeads,
  scoringModelService,
  type RescoreLeads
} from '../modules/automation/scoring/service.ts'
import { leadService } from '../modules/crm/leads/service.ts'
import { invitationService, mailInvitation } from '../modules/identity/invitations/service.ts'
import { mailReset, passwordResetService } from '../modules/identity/password-resets/service.ts'
import {
  cancelDeliveries,
  deliveryService,
  replayEvents
} from '../modules/integrations/deliveries/service.ts'
import { mailPause, webhookService } from '../modules/integrations/webhooks/service.ts'
import { addMembers, campaignService } from '../modules/marketing/campaigns/service.ts'
import { changeBatch, massJobs } from '../modules/operations/mass-changes/service.ts'
import {
  moveOpportunities,
  placeOpportunities,
  stageService
} from '../modules/sales/stages/service.ts'

/** What does one kind of job: it does a batch, within about a second, and returns the rest. */
export interface Task<Payload extends object = object> {
  job: Pick<Job<Payload> | UserJob<Payload>, 'name' | 'permission'>
  run: (ctx: Context, payload: Payload & JobPayload) => Promise<Batch<Payload & JobPayload>>
}

const task = <Payload extends object>(
  job: Job<Payload>,
  run: (ctx: Context, payload: Payload & JobPayload) => Promise<(Payload & JobPayload) | undefined>
): Task =>
  ({
    job,
    run: async (ctx: Context, payload: Payload & JobPayload) => ({
      done: 0,
      ...defined({ rest: await run(ctx, payload) })
    })
  }) as unknown as Task

const userTask = <Payload extends object>(job: UserJob<Payload>, run: Task<Payload>['run']): Task =>
  ({ job, run }) as unknown as Task

/** All kinds of background work. */
export const tasks: Task[] = [
  task(rescoreLeads, rescoreBatch),
  userTask(moveOpportunities, async (ctx, job) => await stageService.clear(ctx, job)),
  task(placeOpportunities, async (ctx, job) => await stageService.place(ctx, job)),
  userTask(addMembers, async (ctx, job) => await campaignService.addBatch(ctx, job)),
  ...massJobs.map(job => userTask(job, async (ctx, rest) => await changeBatch(ctx, rest))),
  task(mailInvitation, async (ctx, job) => await invitationService.mail(ctx, job)),
  task(mailReset, async (ctx, job) => await passwordResetService.mail(ctx, job)),
  task(mailPause, async (ctx, job) => await webhookService.mail(ctx, job)),
  task(cancelDeliveries, async (ctx, job) => await deliveryService.cancel(ctx, job)),
  userTask(replayEvents, async (ctx, job) => await deliveryService.replayBatch(ctx, job))
]

/** Scores a batch of leads. The rest is the same batch again if a lead changed meanwhile. */
async function rescoreBatch(
  ctx: Context,
  job: RescoreLeads & JobPayload
): Promise<(RescoreLeads & JobPayload) | undefined> {
  return await ctx.transaction(async ctx => {
    const { changes, rest } = await scoringModelService.findOutdated(ctx, job)
    const changed = await leadService.updateMany(ctx, changes)
    return changed.length < changes.length ? job : rest
  })
}
