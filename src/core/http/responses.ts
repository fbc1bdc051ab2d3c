import { Type, type TSchema } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { etagOf } from './preconditions.ts'
import { Id } from './schema.ts'

/** What every record has: `version` is its ETag. */
export interface Identified {
  id: number
  version: number
}

export const json = 'application/json; charset=utf-8'

/** The parameters of a path with an `{id}`; `id` is the one of the examples. */
export const byId = (id: unknown = 1) =>
  Type.Object(
    { id: Id({ description: 'The number of the record.', example: id }) },
    { additionalProperties: false }
  )
export const idOf = (request: FastifyRequest) => (request.params as { id: number }).id

/** A response with a body, as it stands in the schema of a route. */
export const answer = (status: number, description: string, schema: TSchema) => ({
  [status]: { description, content: { 'application/json': { schema } } }
})

/** The headers by which a caller makes a request depend on what it knows; they are read by `core/http/preconditions`. */
export const conditions = (names: readonly (keyof typeof conditionTexts)[]) =>
  Type.Object(
    Object.fromEntries(
      names.map(name => [
        name,
        Type.Optional(
          Type.String({
            maxLength: 200,
            pattern: '^[\\x20-\\x7e]*$',
            description: conditionTexts[name]
          })
        )
      ])
    )
  )
const conditionTexts = {
  'if-match': 'Act only if the record still has this ETag; else 412.',
  'if-none-match': 'Answer 304 if the record still has this ETag.',
  'cache-control': '`no-cache` reads from the database.',
  prefer: '`handling=lenient` goes on although there may be duplicates (RFC 7240).'
}

/** Answers with a record and its ETag. */
export const sendRecord = (reply: FastifyReply, record: Identified) =>
  reply.header('etag', etagOf(record)).type(json).send(JSON.stringify(record))

/** RFC 8288: this list from `cursor` on, relative to the server, whatever its name is to the caller. */
export function nextLink({ url }: FastifyRequest, cursor: string): string {
  const [path, query] = url.split('?', 2)
  const parameters = new URLSearchParams(query)
  parameters.set('cursor', cursor)
  return `<${path}?${parameters.toString()}>; rel="next"`
}

/** `campaign member` as a part of a name: `CampaignMember`. */
export const capital = (words: string) =>
  words.replaceAll(/(?:^| )(\w)/g, (_, letter: string) => letter.toUpperCase())
/** `a lead`, `an account`; a user is spoken with a consonant. */
export const article = (word: string) => `${/^(?!u)[aeiou]/.test(word) ? 'an' : 'a'} ${word}`
