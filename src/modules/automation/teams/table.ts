import {
  identifier,
  idList,
  listIndexes,
  record,
  recordKeys,
  reference
} from '../../../core/db/columns.ts'
import { bigint, pgTable, primaryKey, sql, uniqueIndex, varchar } from '../../../core/db/drizzle.ts'
import { users } from '../../identity/users/table.ts'

export const filterable = [
  'name',
  'leader_id',
  'parent_team_id',
  'created_at',
  'updated_at'
] as const

/** The most members of a team. */
export const maxMembers = 200

/** `member_ids` are users; the leader need not be a member. */
export const teams = pgTable(
  'teams',
  {
    ...record(),
    name: varchar({ length: 100 }).notNull(),
    leader_id: identifier(),
    member_ids: idList(),
    parent_team_id: identifier()
  },
  t => [
    ...recordKeys('teams', t),
    ...listIndexes('teams', t, filterable),
    uniqueIndex('teams_name_unique')
      .on(t.organization_id, sql`lower(${t.name})`)
      .where(sql`${t.deleted_at} is null`),
    reference('teams', t, 'leader_id', users),
    reference('teams', t, 'parent_team_id', t)
  ]
)

/**
 * How often a team has been assigned work: whose turn it is. A turn is not a change of the team.
 */
export const teamTurns = pgTable(
  'team_turns',
  {
    organization_id: identifier().notNull(),
    team_id: identifier().notNull(),
    turns: bigint({ mode: 'number' }).notNull().default(0)
  },
  t => [
    primaryKey({ name: 'team_turns_key', columns: [t.organization_id, t.team_id] }),
    reference('team_turns', { ...t, id: t.team_id, deleted_at: t.team_id }, 'team_id', teams)
  ]
)
