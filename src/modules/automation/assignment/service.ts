import type { Static, TObject } from '@sinclair/typebox'
import { collection, type Versions } from '../../../core/records/repository.ts'
import type { Context } from '../../../core/access/context.ts'
import { ruleBroken } from '../../../core/errors.ts'
import { lists, type ListQuery } from '../../../core/records/list.ts'
import { filterLanguage } from '../../../core/records/list-query.ts'
import { Account, accountFilter, NewAccount } from '../../crm/accounts/schema.ts'
import { accounts, searchable as searchedAccounts } from '../../crm/accounts/table.ts'
import { Lead, leadFilter, NewLead } from '../../crm/leads/schema.ts'
import { leads } from '../../crm/leads/table.ts'
import { NewOpportunity, Opportunity, opportunityFilter } from '../../sales/opportunities/schema.ts'
import {
  opportunities,
  searchable as searchedOpportunities
} from '../../sales/opportunities/table.ts'
import { nextMember, waitForTurn } from '../teams/service.ts'
import { findActive } from '../../identity/users/service.ts'
import type { AssignmentRuleChanges, NewAssignmentRule } from './schema.ts'
import { assignmentRules, type resources } from './table.ts'

type Resource = (typeof resources)[number]

const {
  create: insert,
  update: change,
  lock,
  ...rest
} = collection('assignment_rule', assignmentRules)
export const { list, stream, get, find, remove, restore, history, cacheKey } = rest

/** A rule can ask for what a creation can give, in the filters of the list. */
const asked = (
  record: TObject,
  filter: readonly string[],
  creation: TObject,
  search: readonly string[] = []
) =>
  filterLanguage({
    record,
    filter: filter.filter(field => field in creation.properties && field !== 'assigned_to'),
    search
  })

// not their collections: their services make records, and so call this one
const targets = {
  leads: { language: asked(Lead, leadFilter, NewLead), wouldMeet: lists('lead', leads).wouldMeet },
  accounts: {
    language: asked(Account, accountFilter, NewAccount, searchedAccounts),
    wouldMeet: lists('account', accounts).wouldMeet
  },
  opportunities: {
    language: asked(Opportunity, opportunityFilter, NewOpportunity, searchedOpportunities),
    wouldMeet: lists('opportunity', opportunities).wouldMeet
  }
}

/** Makes a rule. Errors: 422 for a filter that its resource does not know, and unless it names either a user or a team. */
export async function create(ctx: Context, input: Static<typeof NewAssignmentRule>) {
  check(input)
  return await insert(ctx, input)
}

/** Changes a rule. Errors: as `create`. */
export async function update(
  ctx: Context,
  id: number,
  changes: Static<typeof AssignmentRuleChanges>,
  versions?: Versions
) {
  return await ctx.transaction(async ctx => {
    check({ ...(await lock(ctx, id, versions)), ...changes })
    return await change(ctx, id, changes)
  })
}

function check({
  resource,
  filter = '',
  user_id = null,
  team_id = null
}: Static<typeof NewAssignmentRule>): void {
  targets[resource].language.parse(filter, 'filter')
  if ((user_id === null) === (team_id === null))
    throw ruleBroken(
      user_id === null ? 'user_id' : 'team_id',
      'A rule names either a user or a team.'
    )
}

/** The active rules of a resource, in the order in which they are tried. */
const inForce = (resource: Resource): ListQuery => ({
  filters: [
    { field: 'resource', operator: 'eq', value: resource },
    { field: 'status', operator: 'eq', value: 'active' }
  ],
  sort: [{ field: 'position', descending: false }]
})

/**
 * The user who gets a new record: whom the first rule says that the record would meet; null when none does. Within a transaction, with
 * which the turn of a team is taken.
 */
export async function assigneeFor(
  ctx: Context,
  resource: Resource,
  record: object
): Promise<number | null> {
  const { language, wouldMeet } = targets[resource]
  for await (const rules of stream(ctx, inForce(resource))) {
    const fits = await wouldMeet(
      ctx,
      record,
      rules.map(({ filter }) => language.parse(filter, 'filter'))
    )
    for (const { user_id, team_id } of rules.filter((_, i) => fits[i])) {
      const assignee =
        user_id === null ? await nextMember(ctx, team_id!) : (await findActive(ctx, [user_id]))[0]
      if (assignee) return assignee
    }
  }
  return null
}

/**
 * Does work that may take a turn of a team for records of these resources. Whoever does waits for it first, within a transaction, before
 * the locks of models and records: who holds one of those must not wait for somebody who wants it. Where no rule is for a team it is the work alone.
 */
export async function inTurn<T>(
  ctx: Context,
  resources: Resource[],
  work: (ctx: Context) => Promise<T>
): Promise<T> {
  const {
    data: [rule]
  } = await list(ctx, {
    filters: [
      { field: 'resource', operator: 'in', value: resources },
      { field: 'status', operator: 'eq', value: 'active' },
      { field: 'team_id', operator: 'null', value: false }
    ],
    limit: 1
  })
  if (!rule) return await work(ctx)
  return await ctx.transaction(async ctx => {
    await waitForTurn(ctx)
    return await work(ctx)
  })
}

/** Makes a record by `insert`, given to whom the rules say if `input` says nothing of it: null is nobody. Without rules this is one short query more. */
export async function assigned<Input extends { assigned_to?: number | null }, Row>(
  ctx: Context,
  resource: Resource,
  input: Input,
  insert: (ctx: Context, input: Input) => Promise<Row>
): Promise<Row> {
  if (
    input.assigned_to !== undefined ||
    (await list(ctx, { ...inForce(resource), limit: 1 })).data.length === 0
  )
    return await insert(ctx, input)
  return await ctx.transaction(
    async ctx =>
      await insert(ctx, { ...input, assigned_to: await assigneeFor(ctx, resource, input) })
  )
}
