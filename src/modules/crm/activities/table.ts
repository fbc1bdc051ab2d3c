import {
  externalIds,
  identifier,
  idList,
  idListIndex,
  instant,
  listIndexes,
  record,
  recordKeys,
  reference,
  searchText
} from '../../../core/db/columns.ts'
import {
  check,
  foreignKey,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  smallint,
  sql,
  text,
  varchar
} from '../../../core/db/drizzle.ts'
import { accounts } from '../accounts/table.ts'
import { contacts } from '../contacts/table.ts'
import { leads } from '../leads/table.ts'
import { opportunities } from '../../sales/opportunities/table.ts'
import { users } from '../../identity/users/table.ts'

export const types = ['call', 'email', 'meeting', 'task', 'note'] as const
export const statuses = ['planned', 'in_progress', 'completed', 'cancelled'] as const
export const priorities = ['low', 'medium', 'high'] as const
export const linkable = ['contact', 'lead', 'account', 'opportunity'] as const
export const searchable = ['subject', 'location'] as const

export const filterable = [
  'type',
  'status',
  'priority',
  'due_at',
  'completed_at',
  'assigned_to',
  'created_by',
  'created_at',
  'updated_at'
] as const

export interface Link {
  type: (typeof linkable)[number]
  id: number
}

/**
 * `links` is what callers see, and part of each event; a trigger (drizzle/0010) fills
 * `activity_links` from it.
 */
export const activities = pgTable(
  'activities',
  {
    ...record(),
    type: varchar({ length: 20, enum: types }).notNull(),
    subject: varchar({ length: 200 }).notNull(),
    description: text(),
    status: varchar({ length: 20, enum: statuses }).notNull().default('planned'),
    priority: varchar({ length: 10, enum: priorities }).notNull().default('medium'),
    due_at: instant(),
    completed_at: instant(),
    duration_minutes: integer(),
    location: varchar({ length: 255 }),
    assigned_to: identifier(),
    links: jsonb().$type<Link[]>().notNull().default([]),
    tags: idList(),
    external_ids: externalIds(),
    search_text: searchText(searchable)
  },
  t => [
    ...recordKeys('activities', t),
    idListIndex('activities', t, 'tags'),
    ...listIndexes('activities', t, filterable),
    index('idx_activities_open')
      .on(t.organization_id, t.due_at, t.id)
      .where(sql`${t.deleted_at} is null and ${t.status} in ('planned', 'in_progress')`),
    // what the report counts, by an index-only scan
    index('idx_activities_report')
      .on(t.organization_id, t.assigned_to, t.type, t.status, t.duration_minutes)
      .where(sql`${t.deleted_at} is null`),
    reference('activities', t, 'assigned_to', users),
    check('activities_duration_minutes_check', sql`${t.duration_minutes} >= 0`)
  ]
)

/**
 * The links of activities that are not deleted: each points at one record, in the column of its
 * kind. An activity occurred when it was completed, otherwise when it was created. Triggers
 * (drizzle/0010) also link the activities of a converted lead to what it became, in one row, as
 * long as the conversion lasts: `via_lead_id` is the lead then. An activity may thus be linked to
 * one record several times.
 */
export const activityLinks = pgTable(
  'activity_links',
  {
    organization_id: identifier().notNull(),
    activity_id: identifier().notNull(),
    position: smallint().notNull(),
    contact_id: identifier(),
    lead_id: identifier(),
    account_id: identifier(),
    opportunity_id: identifier(),
    occurred_at: instant().notNull(),
    via_lead_id: identifier()
  },
  t => [
    primaryKey({
      name: 'activity_links_key',
      columns: [t.organization_id, t.activity_id, t.position]
    }),
    foreignKey({
      name: 'activity_links_activity_id_reference',
      columns: [t.organization_id, t.activity_id],
      foreignColumns: [activities.organization_id, activities.id]
    }).onDelete('cascade'),
    ...(
      [
        ['contact_id', contacts],
        ['lead_id', leads],
        ['account_id', accounts],
        ['opportunity_id', opportunities]
      ] as const
    ).flatMap(([name, target]) => [
      foreignKey({
        name: `activity_links_${name}_reference`,
        columns: [t.organization_id, t[name]],
        foreignColumns: [target.organization_id, target.id]
      }),
      // the activities of a record, newest first; and the records with activities since a time
      index(`idx_activity_links_${name}`)
        .on(t.organization_id, t[name], t.occurred_at, t.activity_id)
        .where(sql`${t[name]} is not null`),
      index(`idx_activity_links_${name}_since`)
        .on(t.organization_id, t.occurred_at, t[name])
        .where(sql`${t[name]} is not null`)
    ]),
    index('idx_activity_links_via_lead_id')
      .on(t.organization_id, t.via_lead_id)
      .where(sql`${t.via_lead_id} is not null`),
    check(
      'activity_links_subject_check',
      sql`${t.via_lead_id} is not null
        or num_nonnulls(${t.contact_id}, ${t.lead_id}, ${t.account_id}, ${t.opportunity_id}) = 1`
    )
  ]
)
