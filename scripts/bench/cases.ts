import type { Connection } from '../../src/core/db/connections.ts'
import { Context, type Services, type Principal } from '../../src/core/access/context.ts'
import type { ListQuery } from '../../src/core/records/list.ts'
import { contactService as contacts } from '../../src/modules/crm/contacts/service.ts'

/**
 * A kind of request. `path` and `body` are those of the i-th; `run` does in the service what the
 * request does.
 */
export interface Case {
  name: string
  title: string
  method: 'GET' | 'POST' | 'PATCH'
  /** As Fastify spells it, below `/api`. */
  url: string
  path: (i: number) => string
  headers?: Record<string, string>
  body?: (i: number) => object
  run: (ctx: Context) => Promise<unknown>
  connection: 'point' | 'pool'
  answers: 'record' | 'list'
}

/** A case as the baselines serve it: the SQL has `$name` where a value of the request goes. */
export interface Route extends Pick<Case, 'name' | 'method' | 'url' | 'connection' | 'answers'> {
  status: number
  body: string
  sql: Recorded
}
export interface Recorded {
  text: string
  parameters: unknown[]
}

/**
 * What the cases need to know of the data: `deep` is a cursor far into the list, `authors` and
 * `words` are in it.
 */
export interface Data {
  deep: string
  authors: number[]
  words: string[]
}

/**
 * Numbers from 1 to `most`, each once before any comes again, in no order that a disk would like.
 */
const scattered = (i: number, most: number) => 1 + ((i * 7919) % most)
const one = <T>(values: T[], i: number): T => values[i % values.length]!

/** `asked` is how the routes ask for a list that says nothing else. */
const asked: ListQuery = { limit: 50, filters: [], count: false, deleted: false }
/** Stands for a value of the request, whatever its type. */
const given = (name: string) => `$${name}` as unknown as number

export function casesOf({ deep, authors, words }: Data): Case[] {
  const get = {
    method: 'GET' as const,
    url: '/contacts/:id',
    run: (ctx: Context) => contacts.get(ctx, given('id')),
    connection: 'point' as const,
    answers: 'record' as const
  }
  const list = {
    method: 'GET' as const,
    url: '/contacts',
    connection: 'pool' as const,
    answers: 'list' as const
  }
  return [
    {
      ...get,
      name: 'cached',
      title: 'GET a contact, cached',
      path: i => `/contacts/${scattered(i, 1000)}`
    },
    {
      ...get,
      name: 'uncached',
      title: 'GET a contact, `no-cache`',
      path: i => `/contacts/${scattered(i, 10_000)}`,
      headers: { 'cache-control': 'no-cache' }
    },
    {
      ...list,
      name: 'list',
      title: 'list, first 50',
      path: () => '/contacts?limit=50',
      run: ctx => contacts.list(ctx, asked)
    },
    {
      ...list,
      name: 'filtered',
      title: 'list, filtered by `created_by`',
      path: i => `/contacts?created_by=${one(authors, i)}`,
      run: ctx =>
        contacts.list(ctx, {
          ...asked,
          filters: [{ field: 'created_by', operator: 'eq', value: given('created_by') }]
        })
    },
    {
      ...list,
      name: 'deep',
      title: 'list, 50 in the middle',
      path: () => `/contacts?limit=50&cursor=${deep}`,
      run: ctx => contacts.list(ctx, { ...asked, cursor: deep })
    },
    {
      ...list,
      name: 'search',
      title: 'list, `q` of a family name',
      path: i => `/contacts?q=${encodeURIComponent(one(words, i))}`,
      run: ctx => contacts.list(ctx, { ...asked, words: ['$q'] })
    },
    {
      name: 'create',
      title: 'POST a contact',
      method: 'POST',
      url: '/contacts',
      path: () => '/contacts',
      connection: 'pool',
      answers: 'record',
      body: i => ({
        first_name: 'John',
        last_name: 'Doe',
        email: `john.doe.${i}@example.com`,
        phone: '+1234567890',
        company: 'Example Corp'
      }),
      run: ctx =>
        contacts.create(ctx, {
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
      path: i => `/contacts/${scattered(i, 10_000)}`,
      connection: 'pool',
      answers: 'record',
      body: i => ({ position: `Head of Department ${i}` }),
      run: ctx => contacts.update(ctx, given('id'), { position: '$position' })
    }
  ]
}

/**
 * The SQL that a service sends first: the driver is given the very same, whatever becomes of the
 * kit.
 */
export async function recorded(
  services: Services,
  principal: Principal,
  run: Case['run']
): Promise<Recorded> {
  const sent: Recorded[] = []
  const connection = {
    unsafe: async (text: string, parameters: unknown[]) => {
      sent.push({ text, parameters })
      return [{ id: 1, version: 1 }]
    }
  } as unknown as Connection
  await run(new Context(services, principal, { connection, changed: new Set(), locks: [] }))
  return sent[0]!
}
