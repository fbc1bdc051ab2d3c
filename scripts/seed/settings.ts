import type { Context } from '../../src/core/access/context.ts'
import { assignmentRuleService } from '../../src/modules/automation/assignment/service.ts'
import { scoringModelService } from '../../src/modules/automation/scoring/service.ts'
import { tagService } from '../../src/modules/crm/tags/service.ts'
import { teamService } from '../../src/modules/automation/teams/service.ts'
import { territoryService } from '../../src/modules/automation/territories/service.ts'

const tagColors = {
  strategic: '#49cc90',
  hot: '#e5484d',
  'do not call': '#8b8d98',
  'trade show': '#3e63dd',
  reseller: '#ffb224',
  press: '#8e4ec6'
}

/**
 * Creates tags and, in an organization without teams, teams of `users`, territories, assignment
 * rules and a scoring model, with which the jobs of the server score leads. Returns the IDs of all
 * tags.
 */
export async function createSettings(ctx: Context, users: number[]): Promise<number[]> {
  const tags = Object.entries(tagColors).map(([name, color]) => ({ name, color }))
  await tagService.createMany(ctx, tags)
  const { data: existing } = await teamService.list(ctx, { limit: 1 })
  if (existing.length === 0) {
    const teams = await createTeams(ctx, users)
    await createTerritories(ctx, teams)
    await createAssignmentRules(ctx, teams)
    await createScoringModel(ctx)
  }
  return (await tagService.list(ctx, { limit: 200 })).data.map(({ id }) => id)
}

interface Teams {
  inside: number
  field: number
}

async function createTeams(ctx: Context, users: number[]): Promise<Teams> {
  const half = Math.ceil(users.length / 2)
  const inside = await teamService.create(ctx, {
    name: 'Inside sales',
    leader_id: users[0]!,
    member_ids: users.slice(0, half)
  })
  const field = await teamService.create(ctx, {
    name: 'Field sales',
    leader_id: users.at(-1)!,
    member_ids: users.slice(half)
  })
  return { inside: inside.id, field: field.id }
}

async function createTerritories(ctx: Context, { inside, field }: Teams): Promise<void> {
  const territories = [
    ['North America', 'country=United States', inside],
    ['Northern Europe', 'country[in]=Germany,Sweden,Poland', field],
    ['Southern Europe', 'country[in]=France,Spain,Turkey', field]
  ] as const
  for (const [name, filter, team_id] of territories)
    await territoryService.create(ctx, { name, filter, team_id })
}

async function createAssignmentRules(ctx: Context, { inside, field }: Teams): Promise<void> {
  const active = { resource: 'leads', status: 'active' } as const
  await assignmentRuleService.create(ctx, {
    ...active,
    name: 'Website leads',
    position: 1,
    filter: 'source=website',
    team_id: inside
  })
  await assignmentRuleService.create(ctx, {
    ...active,
    name: 'Other leads',
    position: 2,
    team_id: field
  })
}

async function createScoringModel(ctx: Context): Promise<void> {
  await scoringModelService.create(ctx, {
    name: 'Engagement',
    status: 'active',
    bands: { A: 60, B: 40, C: 20 },
    rules: [
      { field: 'source', operator: 'in', value: 'referral,partner', points: 30 },
      { field: 'source', operator: 'eq', value: 'website', points: 15 },
      { field: 'status', operator: 'in', value: 'contacted,qualified', points: 20 },
      { field: 'contact.email', operator: 'null', value: 'false', points: 10 },
      { field: 'contact.position', operator: 'null', value: 'false', points: 10 },
      { field: 'status', operator: 'eq', value: 'unqualified', points: -40 }
    ]
  })
}
