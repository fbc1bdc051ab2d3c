import type { Connection } from '../../src/core/db/connections.ts'
import { Context } from '../../src/core/access/context.ts'
import type { Principal } from '../../src/core/access/principal.ts'
import type { Services } from '../../src/core/services.ts'
import type { ListQuery } from '../../src/core/records/list.ts'
import { contactService } from '../../src/modules/crm/contacts/service.ts'

/**
 * A request to measure. `path` and `body` are those of the i-th repetition; `run` calls the service
 * method behind it.
 */
export interface Case {
  name: string
  title: string
  method: 'GET' | 'POST' | 'PATCH'
  /** Path below `/api`, in the syntax of Fastify. */
  url: string
  path: (i: number) => string
  headers?: Record<string, string>
  body?: (i: number) => object
  run: (ctx: Context) => Promise<unknown>
  connection: 'point' | 'pool'
  returns: 'record' | 'list'
}

/** A case as the baselines serve it. Its SQL has `$name` for a value of the request. */
export interface Route extends Pick<Case, 'name' | 'method' | 'url' | 'connection' | 'returns'> {
  status: number
  body: string
  sql: RecordedQuery
}

export interface RecordedQuery {
  text: string
  parameters: unknown[]
}

/**
 * Values for requests: the number of contacts, a cursor in the middle of their list, IDs of users,
 * and family names.
 */
export interface RequestValues {
  contactCount: number
  cursor: string
  authors: number[]
  names: string[]
}

/** The i-th number of a sequence of 1 to `limit` in an order without locality. */
const scattered = (i: number, limit: number) => 1 + ((i * 7919) % limit)
const nth = <T>(values: T[], i: number): T => values[i % values.length]!

/** The query of a list without parameters. */
const plainList: ListQuery = { limit: 50, filters: [], count: false, deleted: false }
/** Placeholder for a value of the request, of any type. */
const placeholder = (name: string) => `$${name}` as unknown as number

export const casesOf = (values: RequestValues): Case[] => [
  ...readsOf(values),
  ...listsOf(values),
  ...writesOf(values)
]

const get = {
  method: 'GET' as const,
  url: '/contacts/:id',
  run: (ctx: Context) => contactService.get(ctx, placeholder('id')),
  connection: 'point' as const,
  returns: 'record' as const
}

const readsOf = ({ contactCount }: RequestValues): Case[] => [
  {
    ...get,
    name: 'cached',
    title: 'GET a contact, cached',
    path: i => `/contacts/${scattered(i, Math.min(1000, contactCount))}`
  },
  {
    ...get,
    name: 'uncached',
    title: 'GET a contact, `no-cache`',
    path: i => `/contacts/${scattered(i, Math.min(10_000, contactCount))}`,
    headers: { 'cache-control': 'no-cache' }
  }
]

const list = {
  method: 'GET' as const,
  url: '/contacts',
  connection: 'pool' as const,
  returns: 'list' as const
}

const listsOf = ({ cursor, authors, names }: RequestValues): Case[] => [
  {
    ...list,
    name: 'list',
    title: 'list, first 50',
    path: () => '/contacts?limit=50',
    run: ctx => contactService.list(ctx, plainList)
  },
  {
    ...list,
    name: 'filtered',
    title: 'list, filtered by `created_by`',
    path: i => `/contacts?created_by=${nth(authors, i)}`,
    run: ctx =>
      contactService.list(ctx, {
        ...plainList,
        filters: [{ field: 'created_by', operator: 'eq', value: placeholder('created_by') }]
      })
  },
  {
    ...list,
    name: 'deep',
    title: 'list, 50 in the middle',
    path: () => `/contacts?limit=50&cursor=${cursor}`,
    run: ctx => contactService.list(ctx, { ...plainList, cursor })
  },
  {
    ...list,
    name: 'search',
    title: 'list, `q` of a family name',
    path: i => `/contacts?q=${encodeURIComponent(nth(names, i))}`,
    run: ctx => contactService.list(ctx, { ...plainList, words: ['$q'] })
  }
]

const writesOf = ({ contactCount }: RequestValues): Case[] => [
  {
    name: 'create',
    title: 'POST a contact',
    method: 'POST',
    url: '/contacts',
    path: () => '/contacts',
    connection: 'pool',
    returns: 'record',
    body: i => ({
      first_name: 'John',
      last_name: 'Doe',
      email: `john.doe.${i}@example.com`,
      phone: '+1234567890',
      company: 'Example Corp'
    }),
    run: ctx =>
      contactService.create(ctx, {
        first_name: '$first_name',
        last_name: '$last_name',
        email: '$email',
        phone: '$phone',
        company: '$company'
      })
  },
  {
    name: 'update',
    title: 'PATCH a contact',
    method: 'PATCH',
    url: '/contacts/:id',
    path: i => `/contacts/${scattered(i, Math.min(10_000, contactCount))}`,
    connection: 'pool',
    returns: 'record',
    body: i => ({ position: `Head of Department ${i}` }),
    run: ctx => contactService.update(ctx, placeholder('id'), { position: '$position' })
  }
]

/** Records the first query of a service method, with which the driver is measured. */
export async function recordQuery(
  services: Services,
  principal: Principal,
  run: Case['run']
): Promise<RecordedQuery> {
  const queries: RecordedQuery[] = []
  const connection = {
    unsafe: async (text: string, parameters: unknown[]) => {
      queries.push({ text, parameters })
      return [{ id: 1, version: 1 }]
    }
  } as unknown as Connection
  const transaction = {
    connection,
    changed: new Set<string>(),
    locks: [],
    atCommit: [],
    end: { isReached: false }
  }
  await run(new Context(services, principal, { transaction }))
  return queries[0]!
}
