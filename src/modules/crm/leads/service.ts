import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { defined } from '../../../core/defined.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import type { Changes, New } from '../../../core/records/resource.ts'
import { checkRules, concernsRules, newRecord } from '../../../core/records/rules.ts'
import { defineUndoing } from '../../../core/records/undoing.ts'
import { assertWritable } from '../../../core/records/visibility.ts'
import { assignmentRuleService } from '../../automation/assignment/service.ts'
import {
  computedScore,
  rescoreLeads,
  scoringModelService
} from '../../automation/scoring/service.ts'
import { leadResource } from './resource.ts'
import { leadRules, type FieldNames, type Lead } from './rules.ts'
import type { LeadChanges, NewLead, Qualification } from './schema.ts'
import type { leads } from './table.ts'

export type { Lead } from './rules.ts'

const records = repository(leadResource)

defineUndoing(leadResource, { locks: ['scoring:shared'], isLockedFirst: true, settle: score })

const now = () => new Date().toISOString()
const fieldNames: FieldNames = { status: 'status', reason: 'unqualified_reason' }
const qualificationNames: FieldNames = { status: 'outcome', reason: 'reason' }

export const leadService = {
  ...records,

  /** Runs `work`, which writes leads, with the lock that comes before those of keys. */
  async withLocks<T>(ctx: Context, work: (ctx: Context) => Promise<T>): Promise<T> {
    return await assignmentRuleService.withRotationLock(ctx, ['leads'], work)
  },

  /**
   * Creates a lead, scored by the active model and, if it names no user, assigned by the rules,
   * which may depend on the score. Errors: 422.
   */
  async create(ctx: Context, input: Static<typeof NewLead>) {
    const after = newRecord(leadResource, input)
    checkRules(leadRules, { before: undefined, after, names: fieldNames })
    const lead = { ...input, ...settledFields(undefined, after) }
    const create = async (ctx: Context) =>
      await withScore(
        ctx,
        lead,
        async (ctx, scored) =>
          await assignmentRuleService.assign(ctx, 'leads', scored, records.create)
      )
    if (input.assigned_to !== undefined) return await create(ctx)
    return await assignmentRuleService.withRotationLock(ctx, ['leads'], create)
  },

  /** Changes a lead. Errors: 404, 412, 409 for an impossible status, 422. */
  async update(ctx: Context, id: number, changes: Static<typeof LeadChanges>, versions?: Versions) {
    return await change(ctx, id, changes, versions, fieldNames)
  },

  /** Qualifies a lead, or not: an update of its status in other words. Errors: as `update`. */
  async qualify(
    ctx: Context,
    id: number,
    qualification: Static<typeof Qualification>,
    versions?: Versions
  ) {
    const { outcome = 'qualified', reason } = qualification ?? {}
    const changes = { status: outcome, ...defined({ unqualified_reason: reason }) }
    assertWritable(ctx, leadResource, 'update', {
      status: '/outcome',
      ...(reason !== undefined && { unqualified_reason: '/reason' })
    })
    return await change(ctx, id, changes, versions, qualificationNames)
  },

  /** Marks a lead, locked by the caller, as converted; it gets this contact if it has none. */
  async convert(ctx: Context, { id, contact_id }: Lead, contact: number | null) {
    return await updateWithScore(ctx, id, {
      status: 'converted',
      converted_at: now(),
      unqualified_reason: null,
      contact_id: contact_id ?? contact
    })
  },

  /**
   * One lead, which nobody else changes. The lock of the models comes before those of leads:
   * otherwise, who changes models could wait for who locked a lead, and the other way around.
   */
  async lock(ctx: Context, id: number, versions?: Versions) {
    return await scoringModelService.withActiveModel(
      ctx,
      async ctx => await records.lock(ctx, id, versions)
    )
  },

  /** Restores a lead, and scores it, since models may have changed. Errors: 404. */
  async restore(ctx: Context, id: number) {
    return await ctx.transaction(
      async ctx =>
        await scoringModelService.withActiveModel(ctx, async (ctx, model) => {
          const lead = await records.restore(ctx, id)
          const score = model
            ? await scoringModelService.scoreOf(ctx, model, lead)
            : { grade: null }
          return await records.update(ctx.unlimited, id, score)
        })
    )
  },

  /** Creates many leads, and scores them by a job. */
  async createMany(ctx: Context, inputs: (New<typeof leads> & { created_at?: string })[]) {
    return await scoringModelService.withActiveModel(ctx, async (ctx, model) => {
      if (model) await rescoreLeads.enqueue(ctx, {}, { key: 'all' })
      return await records.createMany(ctx, inputs)
    })
  }
}

async function change(
  ctx: Context,
  id: number,
  changes: Static<typeof LeadChanges>,
  versions: Versions,
  names: FieldNames
) {
  if (!concernsRules(leadRules, changes)) return await updateWithScore(ctx, id, changes, versions)
  return await ctx.transaction(async ctx => {
    const before = await leadService.lock(ctx, id, versions)
    const after = { ...before, ...defined(changes) } as Lead
    checkRules(leadRules, { before, after, names })
    return await updateWithScore(ctx, id, { ...changes, ...settledFields(before, after) })
  })
}

/** What follows from the status of a lead. */
function settledFields(before: Lead | undefined, { status, unqualified_reason }: Lead) {
  const hasEntered = status !== before?.status
  const qualified_at = status === 'qualified' ? now() : null
  return {
    unqualified_reason: status === 'unqualified' ? unqualified_reason : null,
    ...(hasEntered ? { qualified_at } : {})
  }
}

/** Scores leads by the model that is active now. */
async function score(ctx: Context, ids: number[]): Promise<void> {
  await scoringModelService.withActiveModel(ctx, async (ctx, model) => {
    const changes: ({ id: number } & Changes<typeof leads>)[] = []
    for (const lead of await records.find(ctx.unlimited, ids)) {
      const score = model ? await scoringModelService.scoreOf(ctx, model, lead) : { grade: null }
      changes.push({ id: lead.id, ...score })
    }
    await records.updateMany(ctx.unlimited, changes)
  })
}

/** Creates a lead by `create` with its score. Errors: 422 for a score that a model computes. */
async function withScore<Input extends Changes<typeof leads>, Row>(
  ctx: Context,
  input: Input,
  create: (ctx: Context, input: Input) => Promise<Row>
): Promise<Row> {
  return await scoringModelService.withActiveModel(ctx, async (ctx, model) => {
    if (!model) return await create(ctx, input)
    if (input.score !== undefined) throw computedScore(model)
    const score = await scoringModelService.scoreOf(ctx, model, input)
    return await create(ctx, { ...input, ...score })
  })
}

/**
 * Changes a lead together with its score, in one statement. Saving a form as it was read is
 * allowed: the score may be given if it is unchanged. Errors: 404, 412, 422.
 */
async function updateWithScore(
  ctx: Context,
  id: number,
  changes: Changes<typeof leads>,
  versions?: Versions
) {
  return await scoringModelService.withActiveModel(ctx, async (ctx, model) => {
    if (!model) return await records.update(ctx, id, changes, versions)
    const lead = await records.lock(ctx, id, versions)
    if (changes.score !== undefined && changes.score !== lead.score) throw computedScore(model)
    const score = await scoringModelService.scoreOf(ctx, model, { ...lead, ...changes })
    return await records.update(ctx, id, { ...changes, ...score })
  })
}
