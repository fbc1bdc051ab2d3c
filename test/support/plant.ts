// Records of every resource whose text is recognized wherever it turns up.
import type { TSchema } from '@sinclair/typebox'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { allResources } from '../../src/core/records/resource.ts'
import type { Call } from './app.ts'

/** What marks planted text: a word, and a color where only colors are accepted. */
export interface Mark {
  word: string
  color: string
}

export const ours: Mark = { word: 'zqours', color: '#0ddba1' }
export const theirs: Mark = { word: 'theirs', color: '#5eed00' }

/** IDs of planted records, by the path of their resource. */
export type Ids = Record<string, number>
/** What a body needs besides its text: references, and text that has to have a certain form. */
export type Sample = (ids: Ids, word: string) => Record<string, unknown>

/** In the order of creation. A resource may have several; its ID is that of the first one. */
const samples: [path: string, sample: Sample][] = [
  ['roles', () => ({ grants: [{ resource: 'records', actions: ['read'], reach: 'all' }] })],
  ['users', (_, word) => ({ password: `a ${word} harbour 47`, role: `${word}_name` })],
  [
    'identity-providers',
    (ids, word) => ({
      allowed_domains: [`${word}.example.com`],
      role_mapping: [{ value: word, role_id: ids.roles }]
    })
  ],
  ['api-tokens', (_, word) => ({ name: `${word}_name`, scopes: ['*'] })],
  [
    'webhooks',
    (_, word) => ({
      url: `https://${word}.example.com/hook`,
      types: 'contact.*',
      filter: `last_name=${word}`
    })
  ],
  ['integrations', ids => ({ api_token_id: ids['api-tokens'], webhook_ids: [ids.webhooks] })],
  ['invitations', (_, word) => ({ email: `guest@${word}.example.com`, role: `${word}_name` })],
  ['tags', () => ({})],
  ['accounts', ids => ({ assigned_to: ids.users, tags: [ids.tags] })],
  ['contacts', ids => ({ account_id: ids.accounts, tags: [ids.tags] })],
  ['leads', ids => ({ contact_id: ids.contacts, unqualified_reason: null })],
  ['leads', ids => ({ assigned_to: ids.users, status: 'unqualified' })],
  ['pipelines', () => ({})],
  ['stages', (ids, word) => ({ pipeline_id: ids.pipelines, key: `${word}_stage`, probability: 1 })],
  [
    'opportunities',
    (ids, word) => ({
      pipeline_id: ids.pipelines,
      stage: `${word}_stage`,
      amount: 300,
      lost_reason: null
    })
  ],
  ['opportunities', ids => ({ lead_id: ids.leads, stage: 'won', amount: 20, lost_reason: null })],
  ['opportunities', ids => ({ account_id: ids.accounts, stage: 'lost', amount: 1 })],
  [
    'activities',
    ids => ({
      type: 'call',
      status: 'completed',
      assigned_to: ids.users,
      links: [
        { type: 'contact', id: ids.contacts },
        { type: 'lead', id: ids.leads },
        { type: 'account', id: ids.accounts },
        { type: 'opportunity', id: ids.opportunities }
      ]
    })
  ],
  ['campaigns', () => ({ status: 'active' })],
  ['campaign-members', ids => ({ campaign_id: ids.campaigns, contact_id: ids.contacts })],
  ['teams', ids => ({ member_ids: [ids.users] })],
  ['territories', (_, word) => ({ filter: `country=${word}` })],
  [
    'scoring-models',
    (_, word) => ({ rules: [{ field: 'source', operator: 'eq', value: word, points: 1 }] })
  ],
  [
    'assignment-rules',
    (ids, word) => ({ resource: 'leads', user_id: ids.users, filter: `source=${word}` })
  ]
]

/** The external ID of the planted records, by which paths find them. */
const externalId = { source: 'erp', value: 'A-42' }

/** A path of the document with the external ID of the planted record, if it takes one. */
export const atExternalId = (path: string): string =>
  path.replace('{source}', externalId.source).replace('{value}', externalId.value)

/** External IDs of the `n`th planted record of a resource, if it has such. */
const markedIds = (path: string, { word }: Mark, isFirst: boolean, n: number) => {
  const { source, value } = externalId
  const ids = { [word]: `${word}_${n}`, ...(isFirst && { [source]: value }) }
  return hasField(path, 'external_ids') ? { external_ids: ids } : {}
}
const hasField = (path: string, field: string) => {
  const { create } = allResources().find(resource => resource.path === path) ?? {}
  return field in (create?.properties ?? {})
}

/** Plants records of every resource, with the mark in every text field that a caller can set. */
export async function plant(call: Call, mark: Mark, more: [string, Sample][] = []): Promise<Ids> {
  const ids: Ids = {}
  const planted = new Set<string>()
  for (const [n, [path, sample]] of [...samples, ...more].entries()) {
    const body = {
      ...markedText(path, mark),
      ...markedIds(path, mark, ids[path] === undefined, n),
      ...sample(ids, mark.word)
    }
    const answer = await call(`POST /api/${path}`, body)
    if (answer.statusCode !== 201) throw new Error(`${path} was not planted: ${answer.body}`)
    ids[path] ??= answer.json().id
    for (const [name, value] of Object.entries(body))
      if (holds(JSON.stringify(value), mark)) planted.add(`${path}.${name}`)
  }
  const forgotten = allResources()
    .flatMap(({ path }) => textFields(path).map(([name]) => `${path}.${name}`))
    .filter(name => !planted.has(name))
  if (forgotten.length > 0) throw new Error(`${forgotten.join(', ')} were not planted`)
  return ids
}

/** Whether a text holds the mark, in any case. */
export const holds = (text: string, { word, color }: Mark): boolean =>
  text.toLowerCase().includes(word) || text.includes(color)

/** Fields whose text is one of many names that only the server knows. */
const named = new Set(['time_zone', 'types'])

/** The fields of a new record that take text of the caller's own. */
export function textFields(path: string): [string, TSchema][] {
  const { create } = allResources().find(resource => resource.path === path) ?? {}
  return Object.entries<TSchema>(create?.properties ?? {}).filter(
    ([name, { type, enum: values, format }]) =>
      type === 'string' && values === undefined && !format?.startsWith('date') && !named.has(name)
  )
}

const ajv = new Ajv({ strict: false })
;(formats as unknown as typeof formats.default)(ajv)
ajv.addFormat('idn-email', /^[^@ ]+@[^@ ]+\.[a-z]+$/)

/** The first spelling of the mark that each text field accepts. */
const markedText = (path: string, { word, color }: Mark): Record<string, unknown> =>
  Object.fromEntries(
    textFields(path).map(([name, schema]) => {
      const url = `https://${word}.example.com`
      const spellings = [`${word}_${name}`, word, `${word}@example.com`, url, color]
      const spelling = spellings.find(text => ajv.validate(schema, text))
      if (spelling === undefined) throw new Error(`${path}.${name} accepts no mark`)
      return [name, spelling]
    })
  )
