import { identifier, listIndexes, record, recordKeys, reference } from '../../../core/db/columns.ts'
import { bigint, pgTable, primaryKey, sql, uniqueIndex, varchar } from '../../../core/db/drizzle.ts'
import { users } from '../../identity/users/table.ts'

/** `member_ids` are users; the leader need not be one of the members. */
export const teams = pgTable(
  'teams',
  {
    ...record(),
    name: varchar({ length: 100 }).notNull(),
    leader_id: identifier(),
    member_ids: identifier().array().notNull().default([])
  },
  t => [
    ...recordKeys('teams', t),
    ...listIndexes('teams', t, ['name', 'leader_id', 'created_at', 'updated_at']),
    uniqueIndex('teams_name_unique')
      .on(t.organization_id, sql`lower(${t.name})`)
      .where(sql`${t.deleted_at} is null`),
    reference('teams', t, 'leader_id', users)
  ]
)

/** How often a team has been given work: whose turn it is. No record: a turn is no change of the team. */
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
