import type { Static } from '@sinclair/typebox'
import { LRUCache } from 'lru-cache'
import type { Context } from '../../../core/access/context.ts'
import { assertReachesAll } from '../../../core/access/risk.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { compile, everyRow, ours } from '../../../core/db/sql.ts'
import { invalidParameter, notFound, ruleBroken } from '../../../core/errors.ts'
import { defineJob, type JobPayload } from '../../../core/jobs.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import type { Changes, RowOf } from '../../../core/records/resource.ts'
import { isHidden } from '../../../core/records/visibility.ts'
import { contacts } from '../../crm/contacts/table.ts'
import type { leads } from '../../crm/leads/table.ts'
import { scoringModelResource } from './resource.ts'
import { assertRules, compileRules, explanationOf, gradeOf, storedForm } from './rules.ts'
import type { LeadScore, NewScoringModel, ScoringModelChanges } from './schema.ts'
import { scoringModels } from './table.ts'

type Model = Pick<RowOf<typeof scoringModelResource>, 'id' | 'version' | 'name' | 'rules' | 'bands'>

/** What scoring computes for a lead. */
export interface Score {
  score: number
  grade: 'A' | 'B' | 'C' | 'D' | null
}

/** Scores all leads of the organization after the ID `after`, or those of some contacts. */
export interface RescoreLeads {
  after?: number
  contact_ids?: number[]
}
export const rescoreLeads = defineJob<RescoreLeads>('rescore_leads')

const records = repository(scoringModelResource)

/**
 * Seconds for which a request that found no active model may still be writing a lead: it takes no
 * lock. When the first model becomes active, all leads are scored at once, and again after this
 * time, which is longer than a transaction.
 */
const settlingTime = 30

/** Leads per batch: some 100 ms of work, for which a writer of one of them waits. */
const batchSize = 100

export const scoringModelService = {
  ...records,

  /** Creates a model. Errors: 422 for a rule that is not a filter, or bands out of order. */
  async create(ctx: Context, input: Static<typeof NewScoringModel>) {
    assertValid(ctx, input)
    return await changeModels(ctx, async (ctx, active) => {
      if (input.status === 'active' && active) await deactivate(ctx, active)
      return await records.create(ctx, input)
    })
  },

  /** Changes a model; activating it makes the active one a draft. Errors: 404, 412, 422. */
  async update(
    ctx: Context,
    id: number,
    changes: Static<typeof ScoringModelChanges>,
    versions?: Versions
  ) {
    assertValid(ctx, changes)
    return await changeModels(ctx, async (ctx, active) => {
      const replaces = changes.status === 'active' && active && active.id !== id
      if (replaces) await deactivate(ctx, active)
      return await records.update(ctx, id, changes, versions)
    })
  },

  /** Deletes a model. Without an active one leads keep their scores and lose their grades. */
  async remove(ctx: Context, id: number, versions?: Versions): Promise<void> {
    await changeModels(ctx, async ctx => await records.remove(ctx, id, versions))
  },

  /** Restores a model. Errors: 404, 409 if it was active and another one is now. */
  async restore(ctx: Context, id: number) {
    return await changeModels(ctx, async ctx => await records.restore(ctx, id))
  },

  /**
   * Runs `work` with the active model, which stays unchanged until the transaction ends: a lead is
   * never written by outdated rules. Without a model this costs one short query.
   */
  async withActiveModel<T>(
    ctx: Context,
    work: (ctx: Context, model: Model | undefined) => Promise<T>
  ): Promise<T> {
    if (!(await findActive(ctx))) return await work(ctx, undefined)
    return await ctx.withLocks(
      ['scoring:shared'],
      async ctx => await work(ctx, await findActive(ctx))
    )
  },

  /**
   * The score of a lead as it would be stored. Its contact stays unchanged until the transaction
   * ends: the job that follows a later change of it will see the lead.
   */
  async scoreOf(ctx: Context, model: Model, lead: Changes<typeof leads>): Promise<Score> {
    const rules = rulesOf(model)
    if (rules.usesContacts && lead.contact_id)
      await ctx.rows(sql`select from ${everyRow(contacts)} where id = ${lead.contact_id} for share`)
    const row = await ctx.one(rules.points, { lead: storedForm(lead) })
    return grade(model, row!.points)
  },

  /**
   * The scores that the next leads of a job should have and do not, and the job for the leads
   * after them. Within a transaction; one batch of an organization at a time, so that a score from
   * an older read of a contact never follows a newer one.
   */
  async findOutdated(ctx: Context, job: RescoreLeads & JobPayload) {
    const { after = 0, contact_ids } = job
    return await scoringModelService.withActiveModel(
      ctx,
      async (ctx, model) =>
        await ctx.withLocks(['rescoring'], async ctx => {
          const { batch, batchOfContacts } = rulesOf(model ?? { rules: [] })
          const rows = await ctx.rows(contact_ids ? batchOfContacts : batch, {
            after,
            limit: batchSize,
            contacts: contact_ids
          })
          const changes = rows.flatMap(({ id, version, score, grade: current, points }) => {
            const wanted = model ? grade(model, points) : { score, grade: null }
            const isCurrent = wanted.score === score && wanted.grade === current
            return isCurrent ? [] : [{ id, version, ...wanted }]
          })
          const rest = rows.length < batchSize ? undefined : { ...job, after: rows.at(-1)!.id }
          return { changes, rest }
        })
    )
  },

  /**
   * The score of a lead, rule by rule, by the active model or the one given. Errors: 404 for the
   * lead, 400 for the model.
   */
  async explain(
    ctx: Context,
    lead_id: number,
    model_id?: number
  ): Promise<Static<typeof LeadScore>> {
    const model =
      model_id === undefined ? await findActive(ctx) : (await records.find(ctx, [model_id]))[0]
    if (!model && model_id !== undefined)
      throw invalidParameter('model', 'There is no such scoring model.', { value: model_id })
    const explanation = explanationOf(model?.rules ?? [], lead_id, column => !isHidden(ctx, column))
    const row = await ctx.one<Record<string, unknown>>(explanation)
    if (!row) throw notFound('lead')
    if (!model) return { score: row.score as number, grade: null, model: null, rules: [] }
    const rules = model.rules.map((rule, i) => ({
      ...rule,
      matched: row[`match${i}`] as boolean,
      actual: asText(row[`value${i}`])
    }))
    const score = rules.reduce((sum, { matched, points }) => (matched ? sum + points : sum), 0)
    const { id, name, version, bands } = model
    return { score, grade: gradeOf(score, bands), model: { id, name, version }, rules }
  }
}

/** The error for a score that is set manually although a model computes it. */
export const computedScore = (model: Model) =>
  ruleBroken(
    'score',
    `The score is computed by the scoring model ${model.name} and cannot be set.`,
    { rule: 'computed', model: model.name }
  )

const grade = ({ bands }: Model, score: number): Score => ({
  score,
  grade: gradeOf(score, bands)
})

const deactivate = async (ctx: Context, { id }: Model) =>
  await records.updateMany(ctx, [{ id, status: 'draft' }])

function assertValid(ctx: Context, { rules, bands }: Static<typeof ScoringModelChanges>): void {
  if (rules) assertRules(ctx, rules)
  if (bands && !(bands.A > bands.B && bands.B > bands.C))
    throw ruleBroken('bands', 'The bands must be in descending order: A above B above C.', {
      rule: 'descending',
      fields: ['A', 'B', 'C']
    })
}

/**
 * Runs `work`, which changes models, while no lead is being scored: a writer of a lead has
 * committed before, or sees the change. Afterwards leads are scored again. Errors: 403 for callers
 * who reach only some records.
 */
async function changeModels<T>(
  ctx: Context,
  work: (ctx: Context, active: Model | undefined) => Promise<T>
): Promise<T> {
  assertReachesAll(ctx)
  return await ctx.withLocks(['scoring'], async ctx => {
    const before = await findActive(ctx)
    const result = await work(ctx, before)
    const after = await findActive(ctx)
    const hasChanged = before?.id !== after?.id || before?.version !== after?.version
    if (hasChanged) await rescoreLeads.enqueue(ctx, {}, { key: 'all' })
    if (!before && after)
      await rescoreLeads.enqueue(ctx, {}, { key: 'settled', delay: settlingTime })
    return result
  })
}

const activeModel = compile<Model>(sql`select id, version, name, rules, bands
  from ${ours(scoringModels)} where status = 'active'`)
const findActive = async (ctx: Context): Promise<Model | undefined> =>
  (await ctx.read(activeModel))[0]

const compiledRules = new LRUCache<string, ReturnType<typeof compileRules>>({ max: 100 })

/** The rules of a model as SQL, compiled once for each set of rules. */
function rulesOf({ rules }: Pick<Model, 'rules'>) {
  const key = JSON.stringify(rules)
  const compiled = compiledRules.get(key) ?? compileRules(rules)
  compiledRules.set(key, compiled)
  return compiled
}

/** A value as in a query string: a list is separated by commas. */
function asText(value: unknown): string | null {
  if (value === null) return null
  return Array.isArray(value) ? value.join(',') : `${value as string | number}`
}
