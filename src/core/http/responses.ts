import { Type, type TSchema } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { STATUS_CODES } from 'node:http'
import { etagOf } from './preconditions.ts'
import { Id } from './schema.ts'

/** What every record has: `version` is its ETag. */
export interface Identified {
  id: number
  version: number
}

export const json = 'application/json; charset=utf-8'

/** Headers that a successful response can have besides those that every response has. */
export const headerNames = [
  'ETag',
  'Location',
  'Link',
  'Content-Disposition',
  'Accept-Ranges',
  'Content-Range',
  'Preference-Applied',
  'Idempotency-Replayed',
  'Plan'
] as const
export type HeaderName = (typeof headerNames)[number]

/** Headers as a response declares them; http/openapi puts in their descriptions. */
const declared = (headers: HeaderName[]) =>
  Object.fromEntries(headers.map(name => [name, { type: 'string' }]))

/** A response with a JSON body, as it is declared in the schema of a route. */
export const response = (
  status: number,
  description: string,
  schema: TSchema,
  ...headers: HeaderName[]
) => ({
  [status]: {
    description,
    headers: declared(headers),
    content: { 'application/json': { schema } }
  }
})

/** A declared response with further headers. */
export const withHeaders = (response: object, ...headers: HeaderName[]) => ({
  ...response,
  headers: { ...(response as { headers?: object }).headers, ...declared(headers) }
})

/** A response with a record and its ETag. */
export const recordResponse = (description: string, schema: TSchema) =>
  response(200, description, schema, 'ETag')

/** A response with a page of a list, and a link to the next one. */
export const pageResponse = (description: string, schema: TSchema) =>
  response(200, description, schema, 'Link')

/** A response to the creation of a record. */
export const createdResponse = (description: string, schema: TSchema) =>
  response(201, description, schema, 'Location', 'ETag')

/** A response without a body. */
export const emptyResponse = (status: 202 | 204 | 302 | 304, ...headers: HeaderName[]) => ({
  [status]: Type.Null({ description: STATUS_CODES[status]!, headers: declared(headers) })
})

/** The parameters of a path with an `{id}`; `example` is the ID in the document. */
export const idParameter = (example: unknown = 1) =>
  Type.Object({ id: Id({ description: 'Record ID.', example }) }, { additionalProperties: false })

export const idOf = (request: FastifyRequest) => (request.params as { id: number }).id

const knownHeaders = {
  'if-match': [
    'Proceed only if the record still has this ETag; otherwise, respond with 412.',
    '"1"'
  ],
  'if-none-match': ['Respond with 304 if the record still has this ETag.', '"1"'],
  'cache-control': ['`no-cache` bypasses the cache.', 'no-cache'],
  prefer: ['`handling=lenient` proceeds despite likely duplicates (RFC 7240).', 'handling=lenient'],
  'if-plan': [
    'The `Plan` of a dry run of this request in the last 15 minutes: proceed only if the effects ' +
      'are still the same; otherwise, respond with 412.',
    'sha256:…'
  ],
  'idempotency-key': [
    'A name of your choice for this request, 1 to 255 visible ASCII characters: repeated within ' +
      '24 hours, the request gets the same response and changes nothing.',
    '0e4f8a52-6d0b-4a6c-9f3e-5b1f6f0c7a11'
  ]
} as const

/** Request headers that say under which conditions, and how, a request is carried out. */
export const requestHeaders = (...names: (keyof typeof knownHeaders)[]) =>
  Type.Object(
    Object.fromEntries(
      names.map(name => {
        const [description, example] = knownHeaders[name]
        const maxLength = name === 'if-plan' ? 8_000 : 257 // a key of 255, in quotation marks
        const schema = Type.String({ maxLength, description, examples: [example] })
        return [name, Type.Optional(schema)]
      })
    )
  )

/** Sends a record with its ETag. */
export const sendRecord = (reply: FastifyReply, record: Identified) =>
  reply.header('etag', etagOf(record)).type(json).send(JSON.stringify(record))

/** Sends a page with its `Link` header. */
export function sendPage(
  request: FastifyRequest,
  reply: FastifyReply,
  page: { data: unknown[]; next_cursor: string | null }
) {
  setNextLink(request, reply, page.next_cursor)
  return reply.type(json).send(JSON.stringify(page))
}

/** The `Link` to the next page (RFC 8288): a path, whatever name the server is called by. */
export function setNextLink(
  { url }: FastifyRequest,
  reply: FastifyReply,
  cursor: string | null
): void {
  if (cursor === null) return
  const [target = '', ...query] = url.split('?')
  // a request to a proxy has an absolute URL, whose host is the caller's choice (RFC 9112 §3.2.2)
  const path = target.startsWith('/') ? target : new URL(target).pathname
  const parameters = new URLSearchParams(query.join('?'))
  parameters.set('cursor', cursor)
  reply.header('link', `<${path}?${parameters.toString()}>; rel="next"`)
}
