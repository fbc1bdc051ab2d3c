import type { Static } from '@sinclair/typebox'
import { LRUCache } from 'lru-cache'
import {
  collection,
  type ChangesOf,
  type NewOf,
  type RowOf,
  type Versions
} from '../../../core/records/repository.ts'
import type { Context } from '../../../core/access/context.ts'
import { query, run, soon } from '../../../core/db/database.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { invalidParameter, notFound, ruleBroken } from '../../../core/errors.ts'
import { enqueue, type Jobs } from '../../../core/jobs.ts'
import type { leads } from '../../crm/leads/table.ts'
import { checkRules, compileRules, gradeOf, wouldBe } from './rules.ts'
import type { LeadScore, NewScoringModel, ScoringModelChanges } from './schema.ts'
import { scoringModels } from './table.ts'

type Model = Pick<RowOf<typeof scoringModels>, 'id' | 'version' | 'name' | 'rules' | 'bands'>
type Lead = RowOf<typeof leads>

const {
  create: insert,
  update: change,
  updateMany,
  remove: discard,
  restore: bringBack,
  ...rest
} = collection('scoring_model', scoringModels)
export const { list, stream, get, find, history, cacheKey } = rest

/** Makes a model. Errors: 422 for a rule that is no filter, or bands that do not descend. */
export async function create(ctx: Context, input: Static<typeof NewScoringModel>) {
  check(input)
  return await changing(ctx, async (ctx, active) => {
    if (input.status === 'active' && active) await retire(ctx, active)
    return await insert(ctx, input)
  })
}

/** Changes a model; activating it makes the one that was active a draft. Errors: as `create`. */
export async function update(
  ctx: Context,
  id: number,
  changes: Static<typeof ScoringModelChanges>,
  versions?: Versions
) {
  check(changes)
  return await changing(ctx, async (ctx, active) => {
    if (changes.status === 'active' && active && active.id !== id) await retire(ctx, active)
    return await change(ctx, id, changes, versions)
  })
}

/** Deletes a model. Without an active one leads keep their scores, and lose their grades. */
export const remove = async (ctx: Context, id: number, versions?: Versions): Promise<void> =>
  await changing(ctx, async ctx => await discard(ctx, id, versions))

/** Brings a deleted model back as it was. Errors: 409 when it was active and another one is by now. */
export const restore = async (ctx: Context, id: number) =>
  await changing(ctx, async ctx => await bringBack(ctx, id))

const retire = async (ctx: Context, { id }: Model) =>
  await updateMany(ctx, [{ id, status: 'draft' }])

function check({ rules, bands }: Static<typeof ScoringModelChanges>): void {
  if (rules) checkRules(rules)
  if (bands && !(bands.A > bands.B && bands.B > bands.C))
    throw ruleBroken('bands', 'The bands must descend: A above B above C.')
}

/**
 * For so long a request that found no active model may still be writing a lead, and it is not held up for that: when the first model
 * becomes active, its leads are scored at once, and those of such requests then. Seconds; see `patience` in core/db/timeouts.
 */
const settling = 30

/** Changes models, alone with `active`: whoever writes a lead by it has committed, or will see the change. Then leads are scored anew. */
async function changing<T>(
  ctx: Context,
  work: (ctx: Context, active: Model | undefined) => Promise<T>
): Promise<T> {
  return await ctx.transaction(async ctx => {
    await soon(
      ctx.connection`select pg_advisory_xact_lock(hashtextextended('scoring', ${ctx.organization_id}))`
    )
    const before = await activeModel(ctx)
    const result = await work(ctx, before)
    const after = await activeModel(ctx)
    if (before?.id !== after?.id || before?.version !== after?.version)
      await enqueue(ctx, 'rescore_leads', {}, 'all')
    if (!before && after) await enqueue(ctx, 'rescore_leads', {}, 'settled', settling)
    return result
  })
}

const active = query<Model>(sql`select id, version, name, rules, bands from ${scoringModels}
  where organization_id = ${sql.placeholder('organization')}::bigint and status = 'active' and deleted_at is null`)
const activeModel = async (ctx: Context): Promise<Model | undefined> =>
  (await run(ctx.point, active, { organization: ctx.organization_id }))[0]

/**
 * Does work with leads by the active model, which stays as it is until the transaction is over: a lead is never written by rules that
 * are gone. Without a model it costs one short query and no transaction.
 */
async function byModel<T>(
  ctx: Context,
  work: (ctx: Context, model: Model | undefined) => Promise<T>
): Promise<T> {
  if (!(await activeModel(ctx))) return await work(ctx, undefined)
  return await ctx.transaction(async ctx => {
    await soon(
      ctx.connection`select pg_advisory_xact_lock_shared(hashtextextended('scoring', ${ctx.organization_id}))`
    )
    return await work(ctx, await activeModel(ctx))
  })
}

/** What scoring makes of a lead. */
type Score = Pick<Lead, 'score' | 'grade'>

/** Compiled once for each set of rules. */
const compiled = new LRUCache<string, ReturnType<typeof compileRules>>({ max: 100 })
function rulesOf({ rules }: Pick<Model, 'rules'>) {
  const key = JSON.stringify(rules)
  const known = compiled.get(key) ?? compileRules(rules)
  compiled.set(key, known)
  return known
}

/**
 * The score of a lead as it would be stored. Its contact stays as it is until the transaction is over: the job of whoever changes it
 * then will see the lead.
 */
async function scoreOf(ctx: Context, model: Model, lead: ChangesOf<typeof leads>): Promise<Score> {
  const rules = rulesOf(model)
  const { organization_id } = ctx
  if (rules.asksContacts && lead.contact_id) {
    await soon(
      ctx.connection`select from contacts where organization_id = ${organization_id} and id = ${lead.contact_id} for share`
    )
  }
  const [row] = await run(ctx.connection, rules.points, {
    organization: organization_id,
    lead: wouldBe(lead)
  })
  return graded(model, row!.points)
}

const graded = ({ bands }: Model, score: number): Score => ({ score, grade: gradeOf(score, bands) })

/** Makes a lead by `insert`, with its score. Errors: 422 for a score given by hand while there is an active model. */
export const scored = async <Input extends ChangesOf<typeof leads>, Row>(
  ctx: Context,
  input: Input,
  insert: (ctx: Context, input: Input) => Promise<Row>
): Promise<Row> =>
  await byModel(ctx, async (ctx, model) => {
    if (model && input.score !== undefined) throw computed(model)
    return await insert(ctx, model ? { ...input, ...(await scoreOf(ctx, model, input)) } : input)
  })

const computed = ({ name }: Model) =>
  ruleBroken('score', `The score is computed by the scoring model ${name}.`)

interface LeadVerbs {
  lock: (ctx: Context, id: number, versions?: Versions) => Promise<Lead>
  update: (
    ctx: Context,
    id: number,
    changes: ChangesOf<typeof leads>,
    versions?: Versions
  ) => Promise<Lead>
  restore: (ctx: Context, id: number) => Promise<Lead>
  createMany: (
    ctx: Context,
    inputs: (NewOf<typeof leads> & { created_at?: string })[]
  ) => Promise<number>
}

/** The verbs of leads such that the score follows each change, in the same statement. Their errors, and 422 for a score given by hand while there is an active model. */
export function keepingScore<Verbs extends LeadVerbs>(verbs: Verbs): Verbs {
  const { lock, update, restore, createMany } = verbs
  return {
    ...verbs,

    /** Models come before leads: who locked a lead first would wait for whoever changes models, who waits for those who wait for the lead. */
    lock: async (ctx, id, versions) =>
      await byModel(ctx, async ctx => await lock(ctx, id, versions)),

    /** Saving a form as it was read is no mistake: the score that the lead has is taken. */
    update: async (ctx, id, changes, versions) =>
      await byModel(ctx, async (ctx, model) => {
        if (!model) return await update(ctx, id, changes, versions)
        const lead = await lock(ctx, id, versions)
        if (changes.score !== undefined && changes.score !== lead.score) throw computed(model)
        return await update(ctx, id, {
          ...changes,
          ...(await scoreOf(ctx, model, { ...lead, ...changes }))
        })
      }),

    /** What was deleted has kept the score it had then. */
    restore: async (ctx, id) =>
      await ctx.transaction(async ctx => {
        const lead = await restore(ctx, id)
        return await byModel(
          ctx,
          async (ctx, model) =>
            await update(ctx, id, model ? await scoreOf(ctx, model, lead) : { grade: null })
        )
      }),

    createMany: async (ctx, inputs) =>
      await byModel(ctx, async (ctx, model) => {
        if (model) await enqueue(ctx, 'rescore_leads', {}, 'all')
        return await createMany(ctx, inputs)
      })
  }
}

/** How many leads a batch looks at: some 100 ms of work, for which whoever writes one of them has to wait. */
const batch = 100

/**
 * Those of the next leads of a job whose score is not what it should be, with what it should be, and the job of the leads after them.
 * One batch of an organisation at a time, within a transaction: what an older look at a contact came to cannot be written after a newer one.
 */
export async function outdated(ctx: Context, job: Jobs['rescore_leads']) {
  const { organization_id, after = 0, contact_ids } = job
  return await byModel(
    ctx,
    async (
      ctx,
      model
    ): Promise<{
      changes: (Score & { id: number; version: number })[]
      rest: typeof job | undefined
    }> => {
      await soon(
        ctx.connection`select pg_advisory_xact_lock(hashtextextended('rescoring', ${organization_id}))`
      )
      const { batch: all, batchOfContacts } = rulesOf(model ?? { rules: [] })
      const rows = await run(ctx.connection, contact_ids ? batchOfContacts : all, {
        organization: organization_id,
        after,
        limit: batch,
        contacts: contact_ids
      })
      const changes = rows.flatMap(({ id, version, score, grade, points }) => {
        const wanted = model ? graded(model, points) : { score, grade: null }
        return wanted.score === score && wanted.grade === grade ? [] : [{ id, version, ...wanted }]
      })
      return { changes, rest: rows.length < batch ? undefined : { ...job, after: rows.at(-1)!.id } }
    }
  )
}

/** The score of a lead, rule by rule, by the active model or the one asked for. Errors: 404 for the lead, 400 for the model. */
export async function explain(
  ctx: Context,
  id: number,
  model_id?: number
): Promise<Static<typeof LeadScore>> {
  const model = model_id === undefined ? await activeModel(ctx) : (await find(ctx, [model_id]))[0]
  if (!model && model_id !== undefined)
    throw invalidParameter('model', 'There is no such scoring model.')
  const { explanation } = rulesOf(model ?? { rules: [] })
  const [row] = await run(ctx.connection, explanation, { organization: ctx.organization_id, id })
  if (!row) throw notFound('lead')
  if (!model) return { score: row.score as number, grade: null, model: null, rules: [] }
  const rules = model.rules.map((rule, i) => ({
    ...rule,
    matched: row[`m${i}`] as boolean,
    actual: asText(row[`a${i}`])
  }))
  const score = rules.reduce((sum, { matched, points }) => (matched ? sum + points : sum), 0)
  return {
    score,
    grade: gradeOf(score, model.bands),
    model: { id: model.id, name: model.name, version: model.version },
    rules
  }
}

/** As in a query string: a list is separated by commas. */
const asText = (value: unknown): string | null =>
  value === null ? null : Array.isArray(value) ? value.join(',') : `${value as string | number}`
