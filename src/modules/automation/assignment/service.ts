import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { assertReachesAll } from '../../../core/access/risk.ts'
import { ruleBroken } from '../../../core/errors.ts'
import { FilterLanguage } from '../../../core/records/filter-language.ts'
import { equal } from '../../../core/records/filter.ts'
import type { ListQuery } from '../../../core/records/list.ts'
import { repository, type Versions } from '../../../core/records/repository.ts'
import type { Resource } from '../../../core/records/resource.ts'
import { accountResource } from '../../crm/accounts/resource.ts'
import { leadResource } from '../../crm/leads/resource.ts'
import { userService } from '../../identity/users/service.ts'
import { opportunityResource } from '../../sales/opportunities/resource.ts'
import { teamService } from '../teams/service.ts'
import { assignmentRuleResource } from './resource.ts'
import type { AssignmentRuleChanges, NewAssignmentRule } from './schema.ts'
import type { assignables } from './table.ts'

export type Assignable = (typeof assignables)[number]

const records = repository(assignmentRuleResource)

/** Rules filter by fields that a creation can set, in the language of the list. */
const target = (resource: Resource) => {
  const { table, schema, search = [], filters = [], create } = resource
  const settable = filters.filter(field => field in create!.properties && field !== 'assigned_to')
  return {
    resource,
    language: new FilterLanguage({ table, schema: schema!, search, filters: settable })
  }
}
const targets = {
  leads: target(leadResource),
  accounts: target(accountResource),
  opportunities: target(opportunityResource)
}

export const assignmentRuleService = {
  ...records,

  /**
   * Creates a rule. Errors: 422 for a filter that its records do not have, and unless it names
   * either a user or a team; 403 for callers who reach only some records.
   */
  async create(ctx: Context, input: Static<typeof NewAssignmentRule>) {
    assertValid(ctx, input)
    return await records.create(ctx, input)
  },

  /** Changes a rule. Errors: 404, 412, 422 and 403 as `create`. */
  async update(
    ctx: Context,
    id: number,
    changes: Static<typeof AssignmentRuleChanges>,
    versions?: Versions
  ) {
    return await ctx.transaction(async ctx => {
      assertValid(ctx, { ...(await records.lock(ctx, id, versions)), ...changes })
      return await records.update(ctx, id, changes)
    })
  },

  /** Deletes a rule. Errors: 404, 412, 403. */
  async remove(ctx: Context, id: number, versions?: Versions): Promise<void> {
    assertReachesAll(ctx)
    await records.remove(ctx, id, versions)
  },

  /** Restores a rule. Errors: 404, 409, 403. */
  async restore(ctx: Context, id: number) {
    assertReachesAll(ctx)
    return await records.restore(ctx, id)
  },

  /**
   * Runs `work`, which may assign records of these kinds by the turns of a team, with the lock
   * that turns need: it comes before the locks of models and records. Without an active rule for a
   * team it is the work alone.
   */
  async withRotationLock<T>(
    ctx: Context,
    kinds: Assignable[],
    work: (ctx: Context) => Promise<T>
  ): Promise<T> {
    const rule = await records.first(ctx, {
      filters: [
        ...equal({ status: 'active' }),
        { field: 'resource', operator: 'in', value: kinds },
        { field: 'team_id', operator: 'null', value: false }
      ]
    })
    return rule ? await ctx.withLocks(['rotation'], work) : await work(ctx)
  },

  /**
   * Creates a record by `create`, assigned by the rules if `input` names no user (null is nobody).
   * Without rules this costs one short query.
   */
  async assign<Input extends { assigned_to?: number | null }, Row>(
    ctx: Context,
    kind: Assignable,
    input: Input,
    create: (ctx: Context, input: Input) => Promise<Row>
  ): Promise<Row> {
    if (input.assigned_to !== undefined) return await create(ctx, input)
    if (!(await records.first(ctx, activeRules(kind)))) return await create(ctx, input)
    return await ctx.transaction(async ctx => {
      const assigned_to = await findAssignee(ctx, kind, input)
      return await create(ctx, { ...input, assigned_to })
    })
  }
}

function assertValid(ctx: Context, rule: Static<typeof NewAssignmentRule>): void {
  assertReachesAll(ctx)
  const { resource, filter = '', user_id = null, team_id = null } = rule
  targets[resource].language.parse(ctx, filter, 'filter')
  if ((user_id === null) !== (team_id === null)) return
  const field = user_id === null ? 'user_id' : 'team_id'
  throw ruleBroken(field, 'A rule must have either a user or a team.', {
    rule: 'either',
    fields: ['user_id', 'team_id']
  })
}

/** The active rules for one kind of record, in the order in which they are tried. */
const activeRules = (kind: Assignable): ListQuery => ({
  filters: equal({ resource: kind, status: 'active' }),
  sort: [{ field: 'position', descending: false }]
})

/**
 * The user whom the first matching rule assigns a new record to; null if there is none. Within a
 * transaction, with which the turn of a team is taken.
 */
async function findAssignee(
  ctx: Context,
  kind: Assignable,
  record: object
): Promise<number | null> {
  const { language, resource } = targets[kind]
  for await (const rules of records.stream(ctx, activeRules(kind))) {
    const filters = rules.map(({ filter }) => language.parseStored(filter, 'filter'))
    const matches = await repository(resource).wouldMatch(ctx, record, filters)
    for (const rule of rules.filter((_, i) => matches[i])) {
      const assignee = await assigneeOf(ctx, rule)
      if (assignee) return assignee
    }
  }
  return null
}

async function assigneeOf(
  ctx: Context,
  { user_id, team_id }: { user_id: number | null; team_id: number | null }
): Promise<number | null> {
  if (user_id === null) return await teamService.nextMember(ctx, team_id!)
  return (await userService.findActive(ctx, [user_id]))[0] ?? null
}
