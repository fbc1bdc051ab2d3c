import type { Context } from '../../src/core/access/context.ts'
import { assignmentRuleService as assignmentRules } from '../../src/modules/automation/assignment/service.ts'
import { scoringModelService as scoringModels } from '../../src/modules/automation/scoring/service.ts'
import { tagService as tags } from '../../src/modules/crm/tags/service.ts'
import { teamService as teams } from '../../src/modules/automation/teams/service.ts'
import { territoryService as territories } from '../../src/modules/automation/territories/service.ts'

const words = {
  strategic: '#49cc90',
  hot: '#e5484d',
  'do not call': '#8b8d98',
  fair: '#3e63dd',
  reseller: '#ffb224',
  press: '#8e4ec6'
}

/**
 * How the organisation works: tags, teams of `users`, territories, a rule and a scoring model,
 * unless it has teams already. Returns the numbers of its tags. Leads are scored by the worker of
 * the server, once it runs.
 */
export async function setUp(ctx: Context, users: number[]): Promise<number[]> {
  await tags.createMany(
    ctx,
    Object.entries(words).map(([name, color]) => ({ name, color }))
  )
  if ((await teams.list(ctx, { limit: 1 })).data.length === 0) {
    const half = Math.ceil(users.length / 2)
    const inside = await teams.create(ctx, {
      name: 'Inside team',
      leader_id: users[0]!,
      member_ids: users.slice(0, half)
    })
    const field = await teams.create(ctx, {
      name: 'Field team',
      leader_id: users.at(-1)!,
      member_ids: users.slice(half)
    })
    await territories.create(ctx, {
      name: 'North America',
      filter: 'country=United States',
      team_id: inside.id
    })
    await territories.create(ctx, {
      name: 'Northern Europe',
      filter: 'country[in]=Germany,Sweden,Poland',
      team_id: field.id
    })
    await territories.create(ctx, {
      name: 'Southern Europe',
      filter: 'country[in]=France,Spain,Turkey',
      team_id: field.id
    })
    await assignmentRules.create(ctx, {
      name: 'Leads of the website',
      resource: 'leads',
      status: 'active',
      position: 1,
      filter: 'source=website',
      team_id: inside.id
    })
    await assignmentRules.create(ctx, {
      name: 'All other leads',
      resource: 'leads',
      status: 'active',
      position: 2,
      team_id: field.id
    })
    await scoringModels.create(ctx, {
      name: 'Who answers',
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
  return (await tags.list(ctx, { limit: 200 })).data.map(({ id }) => id)
}
