// Everything that can be read, as the document says.
import type { App, Call } from './app.ts'
import { documentOf, requiredQuery, resolved, type Operation } from './document.ts'
import { atExternalId, ours, type Ids } from './plant.ts'

/** Numbers that charts count up in each process. */
const chartNumbers = /\bzr\d+-cls-\d+/g
/** Cursors of the feed, in which each access counts. */
const feedCursors = /\b\d+-[0-9a-f]{12}\b/g

/**
 * The answers to every GET of the document, in every format: lists and reports, and, where there
 * is an ID for them, records and what belongs to them.
 */
export async function readAll(app: App, call: Call, ids: Ids = {}): Promise<Map<string, string>> {
  const read = new Map<string, string>()
  for (const [path, { get }] of Object.entries(documentOf(app).paths)) {
    if (!get?.security?.length || path.startsWith('/api/auth/')) continue
    if (path.startsWith('/api/audit')) continue // it changes as lists are exported
    const id = ids[path.split('/')[2]!]
    if (path.includes('{') && id === undefined) continue
    const url = atExternalId(path).replace('{id}', String(id))
    for (const query of queriesOf(get))
      for (const accept of formatsOf(app, get)) {
        const request = `GET ${url}?${[requiredQuery(get), query].filter(Boolean).join('&')}`
        const { statusCode, body } = await call(request, undefined, { accept })
        const text = body.replaceAll(chartNumbers, '').replaceAll(feedCursors, '')
        read.set(`${request} as ${accept}`, `${statusCode} ${text}`)
      }
  }
  return read
}

/**
 * Queries that show more than a plain list or record: its total, its related records, what it
 * finds, and what the log says.
 */
function queriesOf({ parameters = [] }: Operation): string[] {
  const included = parameters.find(({ name }) => name === 'include')?.schema.pattern ?? '()'
  const queries = [
    'count=exact',
    `include=${/\((.*?)\)/.exec(included)![1]!.replaceAll('|', ',')}`,
    `q=${ours.word}`,
    'as_of=9999-12-31'
  ]
  return ['', ...queries.filter(query => parameters.some(({ name }) => query.startsWith(name)))]
}

/** The formats of an operation's successful responses. */
export function formatsOf(app: App, { responses }: Operation): string[] {
  const formats = Object.entries(responses)
    .filter(([status]) => status.startsWith('2'))
    .flatMap(([, response]) => Object.keys(resolved(app, response).content ?? {}))
  return formats.length > 0 ? formats : ['application/json']
}
