import type { Static } from '@sinclair/typebox'
import type { Context } from '../../../core/access/context.ts'
import { visibleColumns } from '../../../core/db/columns.ts'
import { sql } from '../../../core/db/drizzle.ts'
import { invalidParameter } from '../../../core/errors.ts'
import { explained, Text } from '../../../core/http/schema.ts'
import { maxVerified, verifyChain } from '../../../core/records/event-chain.ts'
import { events, withIsoInstants } from '../../../core/records/events.ts'
import type { VirtualFilters } from '../../../core/records/filter.ts'
import { Lists, type ListQuery, type Page } from '../../../core/records/list.ts'
import { allResources } from '../../../core/records/resource.ts'
import { shownEvent } from '../../../core/records/visibility.ts'
import type { AuditEntry, AuditVerification, VerificationQuery } from './schema.ts'

type Entry = Static<typeof AuditEntry>

const subject = explained(
  '^[a-z_]{1,40}/[1-9][0-9]{0,14}$',
  'must be a type and an ID, such as contact/12',
  'subject'
)

const address = explained('^[0-9A-Fa-f.:]{2,45}$', 'must be an IP address', 'address')

/** Filters by what indexes have: both columns of a subject, and the addresses of accesses. */
export const virtualFilters: VirtualFilters = {
  from_address: {
    schema: Text(45, {
      pattern: address,
      description: 'Logins, refusals, exports and other accesses from this IP address.',
      examples: ['192.0.2.7']
    }),
    condition: value => sql`(${events.details} is not null and ${events.address} = ${value})`
  },
  subject: {
    schema: Text(60, {
      pattern: subject,
      description: 'About this record, by its type and ID.',
      examples: ['contact/1']
    }),
    condition: value => sql`(${events.subject_type} = split_part(${value}, '/', 1)
      and ${events.subject_id} = split_part(${value}, '/', 2)::bigint)`
  }
}

const { xid: _, ...columns } = visibleColumns(events)
const lists = new Lists<Entry>({ name: 'audit_entry', table: events, columns, virtualFilters })

export const auditService = {
  /** One page of the audit log, newest first. Errors: as `Lists.list`. */
  async list(ctx: Context, query: ListQuery): Promise<Page<Entry>> {
    assertSubjects(query)
    const { data, ...page } = await lists.list(ctx, whole(query))
    return { data: shownTo(ctx, data), ...page }
  },

  /** All of it, in batches. Errors: as `Lists.stream`. */
  async *stream(ctx: Context, query: ListQuery): AsyncGenerator<Entry[]> {
    assertSubjects(query)
    for await (const entries of lists.stream(ctx, whole(query))) yield shownTo(ctx, entries)
  },

  /** Verifies the chain after a position; at most a part of it. Errors: 503. */
  async verify(
    ctx: Context,
    { after = 0, limit = maxVerified }: Static<typeof VerificationQuery>
  ): Promise<Static<typeof AuditVerification>> {
    const verification = await verifyChain(ctx, after, limit)
    return { is_intact: verification.first_break === null, ...verification }
  }
}

/** With all fields, whichever are requested: some of them decide what is shown of others. */
const whole = ({ fields: _, ...query }: ListQuery): ListQuery => query

/** Errors: 400 for a subject of an unknown type. */
function assertSubjects({ filters = [] }: ListQuery): void {
  for (const { field, value } of filters) if (field === 'subject') assertType(value)
}

/** Errors: 400 for an unknown type: an empty list would say that nothing has happened. */
function assertType(subject: unknown): void {
  const type = String(subject).split('/', 1)[0]
  const types = [...allResources().map(({ name }) => name), 'organization']
  if (!types.includes(type!)) throw invalidParameter('subject', `There is no type ${type}.`)
}

/** The values of a record are for those who may read all records of its type. */
function shownTo(ctx: Context, entries: Entry[]): Entry[] {
  const resources = new Map(allResources().map(resource => [resource.name, resource]))
  return entries.map(entry => {
    if (entry.before === null && entry.after === null) return entry
    const resource = resources.get(entry.subject_type)
    const isShown = resource && ctx.principal.access.reachOf(`${resource.path}:read`) === 'all'
    if (!isShown) return { ...entry, changed: [], before: null, after: null }
    return withIsoInstants(shownEvent(ctx, resource, entry))
  })
}
