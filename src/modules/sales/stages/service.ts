import type { Static } from '@sinclair/typebox'
import { collection, type Versions } from '../../../core/records/repository.ts'
import type { Context } from '../../../core/access/context.ts'
import { soon } from '../../../core/db/database.ts'
import { conflict, ruleBroken, unknownReference } from '../../../core/errors.ts'
import { mostStages, type NewStage, type PipelineStage, type StageChanges } from './schema.ts'
import { stages } from './table.ts'

const {
  create: insert,
  createMany,
  update: change,
  updateMany,
  lock,
  remove,
  restore: bringBack,
  ...rest
} = collection('stage', stages)
export const { list, stream, get, find, history, cacheKey } = rest

export type Stage = Awaited<ReturnType<typeof get>>
const isOpen = ({ kind }: Pick<Stage, 'kind'>) => kind === 'open'
const inOrder = ['position', 'id'].map(field => ({ field, descending: false }))

/** Runs `work`, which brings opportunities to stages, while all stages of the organisation stay as they are; any number at a time. */
export const holding = async <T>(ctx: Context, work: (ctx: Context) => Promise<T>): Promise<T> =>
  await ctx.transaction(async ctx => {
    await soon(
      ctx.connection`select pg_advisory_xact_lock_shared(hashtextextended('stages', ${ctx.organization_id}))`
    )
    return await work(ctx)
  })

/** Runs `work`, which changes stages or pipelines, while no opportunity comes to one; one at a time. */
export const rearranging = async <T>(
  ctx: Context,
  work: (ctx: Context) => Promise<T>
): Promise<T> =>
  await ctx.transaction(async ctx => {
    await soon(
      ctx.connection`select pg_advisory_xact_lock(hashtextextended('stages', ${ctx.organization_id}))`
    )
    return await work(ctx)
  })

/** The stages of each of the pipelines, in their order. */
export async function stagesOfEach(
  ctx: Context,
  pipeline_ids: number[]
): Promise<Map<number, Stage[]>> {
  const filters = [{ field: 'pipeline_id', operator: 'in' as const, value: pipeline_ids }]
  const { data } = await list(ctx, {
    filters,
    sort: inOrder,
    limit: pipeline_ids.length * mostStages
  })
  return Map.groupBy(data, ({ pipeline_id }) => pipeline_id)
}

/** The stages of a pipeline, in their order; none if there is no such pipeline. */
export const stagesOf = async (ctx: Context, pipeline_id: number): Promise<Stage[]> =>
  (await stagesOfEach(ctx, [pipeline_id])).get(pipeline_id) ?? []

/** How many opportunities are in a stage; without a key, in any stage of the pipeline. */
export async function countIn(
  ctx: Context,
  pipeline_id: number,
  key: string | null = null
): Promise<number> {
  const [found] = await soon(ctx.connection<[{ count: number }]>`
    select count(*) from opportunities
    where organization_id = ${ctx.organization_id} and pipeline_id = ${pipeline_id} and stage = coalesce(${key}, stage) and deleted_at is null`)
  return found.count
}

/** The probability of what is of this kind: the one given, unless that contradicts it. Errors: 422 at `place`. */
export function probabilityOf(
  kind: Stage['kind'],
  given: number | undefined,
  place = 'probability'
): number {
  const certain = { open: undefined, won: 100, lost: 0 }[kind]
  const probability = given ?? certain
  if (probability === undefined) throw ruleBroken(place, 'An open stage needs a probability.')
  if (certain !== undefined && probability !== certain)
    throw ruleBroken(place, `What is ${kind} has a probability of ${certain}.`)
  return probability
}

/** Errors: 422 at `place` for the first key that is none of `keys`. */
function refuseUnknown(
  next_stages: string[] | null | undefined,
  keys: string[],
  place = 'next_stages'
): void {
  const i = next_stages?.findIndex(key => !keys.includes(key)) ?? -1
  if (i >= 0)
    throw ruleBroken(
      `${place}/${i}`,
      `There is no other stage ${next_stages![i]} in this pipeline.`
    )
}

/**
 * Makes a stage. Unless it says where, an open one comes after the last open one, another one to the end. Errors: 409 for a key that its
 * pipeline has or had, 422.
 */
export const create = async (ctx: Context, input: Static<typeof NewStage>) =>
  await rearranging(ctx, async ctx => {
    const others = await stagesOf(ctx, input.pipeline_id)
    if (others.length === 0) throw unknownReference(['pipeline_id'])
    refuseUnknown(
      input.next_stages,
      others.map(({ key }) => key)
    )
    const { kind = 'open', position = await roomFor(ctx, kind, others) } = input
    const stage = await insert(ctx, {
      ...input,
      position,
      probability: probabilityOf(kind, input.probability)
    })
    await refuseTooMany(ctx, stage)
    return stage
  })

/** The position of a new stage of this kind among the others, which are in their order; those that come behind it make room. */
async function roomFor(ctx: Context, kind: Stage['kind'], others: Stage[]): Promise<number> {
  const place = kind === 'open' ? others.findLastIndex(isOpen) + 1 : others.length
  const behind = others.slice(place)
  const position = others[place - 1]!.position + 1
  const missing = behind.length > 0 ? position + 1 - behind[0]!.position : 0
  if (missing > 0)
    await updateMany(
      ctx,
      behind.map(({ id, position }) => ({ id, position: position + missing }))
    )
  return position
}

/** Makes the stages of a new pipeline. Errors: 422 at `/stages/…`. */
export async function createAll(
  ctx: Context,
  pipeline_id: number,
  inputs: Static<typeof PipelineStage>[]
): Promise<void> {
  const keys = inputs.map(({ key }) => key)
  const all = inputs.map(
    ({ kind = 'open', required_fields = [], next_stages = null, ...stage }, i) => {
      if (keys.indexOf(stage.key) < i)
        throw ruleBroken(`stages/${i}/key`, `There is another stage ${stage.key}.`)
      refuseUnknown(
        next_stages,
        keys.filter(key => key !== stage.key),
        `stages/${i}/next_stages`
      )
      const probability = probabilityOf(kind, stage.probability, `stages/${i}/probability`)
      return {
        ...stage,
        pipeline_id,
        kind,
        required_fields,
        next_stages,
        probability,
        position: i + 1
      }
    }
  )
  if (!all.some(isOpen)) throw ruleBroken('stages', 'A pipeline needs an open stage.')
  await createMany(ctx, all)
}

/** Changes a stage. Errors: 409 for another kind while opportunities are in it or when no stage would be open, 422. */
export async function update(
  ctx: Context,
  id: number,
  changes: Static<typeof StageChanges>,
  versions?: Versions
) {
  const harmless =
    changes.kind === undefined &&
    changes.probability === undefined &&
    changes.next_stages === undefined
  if (harmless) return await change(ctx, id, changes, versions)
  return await rearranging(ctx, async ctx => {
    const before = await lock(ctx, id, versions)
    const others = (await stagesOf(ctx, before.pipeline_id)).filter(stage => stage.id !== id)
    const { kind = before.kind } = changes
    const probability = probabilityOf(
      kind,
      changes.probability ?? (kind === 'open' ? before.probability : undefined)
    )
    // a stage that it named before may be gone by now: saving a form must not fail for it
    refuseUnknown(changes.next_stages, [
      ...others.map(({ key }) => key),
      ...(before.next_stages ?? [])
    ])
    if (kind !== before.kind) await refuseNewKind(ctx, before, [...others, { kind }])
    return await change(ctx, id, { ...changes, probability })
  })
}

async function refuseNewKind(
  ctx: Context,
  { pipeline_id, key }: Stage,
  becoming: Pick<Stage, 'kind'>[]
): Promise<void> {
  refuseNoneOpen(becoming)
  await refuseUnsettled(ctx, pipeline_id)
  const count = await countIn(ctx, pipeline_id, key)
  if (count > 0)
    throw conflict(`Opportunities are in this stage, ${count} of them: its kind cannot change.`)
}

/**
 * Deletes a stage; others that let move to it let move to `heir` instead, if there is one. What becomes of the opportunities in it is the caller's
 * concern. Runs within `rearranging`. Errors: 404, 412, 409 when no stage would be open.
 */
export async function retire(
  ctx: Context,
  id: number,
  heir: string | undefined,
  versions: Versions
): Promise<Stage> {
  const stage = await lock(ctx, id, versions)
  await refuseUnsettled(ctx, stage.pipeline_id)
  await remove(ctx, id)
  const others = await stagesOf(ctx, stage.pipeline_id)
  refuseNoneOpen(others)
  await updateMany(
    ctx,
    others
      .filter(({ next_stages }) => next_stages?.includes(stage.key))
      .map(({ id, key, next_stages }) => {
        const inherited = next_stages!.flatMap(next =>
          next !== stage.key ? [next] : heir !== undefined && heir !== key ? [heir] : []
        )
        return { id, next_stages: [...new Set(inherited)] }
      })
  )
  return stage
}

/** Brings a deleted stage back. Errors: 404, 409 when its pipeline is full. */
export const restore = async (ctx: Context, id: number) =>
  await rearranging(ctx, async ctx => {
    const stage = await bringBack(ctx, id)
    await refuseTooMany(ctx, stage)
    return stage
  })

async function refuseTooMany(ctx: Context, { pipeline_id }: Stage): Promise<void> {
  const { data } = await list(ctx, {
    filters: [{ field: 'pipeline_id', operator: 'eq', value: pipeline_id }],
    fields: ['id'],
    limit: mostStages + 1
  })
  if (data.length > mostStages) throw conflict(`A pipeline has ${mostStages} stages at the most.`)
}

function refuseNoneOpen(stages: Pick<Stage, 'kind'>[]): void {
  if (!stages.some(isOpen))
    throw conflict('A pipeline needs an open stage, and this is its last one.')
}

/** While a deleted stage is being emptied, those that it had are still coming to another one: which must not go, or mean something else. */
async function refuseUnsettled(ctx: Context, pipeline_id: number): Promise<void> {
  const [stage] = await soon(ctx.connection`
    select s.key from stages s
    where s.organization_id = ${ctx.organization_id} and s.pipeline_id = ${pipeline_id} and s.deleted_at is not null and exists (
      select from opportunities o
      where o.organization_id = s.organization_id and o.pipeline_id = s.pipeline_id and o.stage = s.key and o.deleted_at is null
    ) limit 1`)
  if (stage)
    throw conflict(
      `Opportunities are still leaving the deleted stage ${stage.key}: try again when they have.`
    )
}
