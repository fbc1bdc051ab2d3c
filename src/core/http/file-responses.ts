import send from '@fastify/send'
import { Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Readable } from 'node:stream'
import { Problem, unavailable } from '../errors.ts'
import { hasCurrent } from './preconditions.ts'
import { requestHeaders } from './responses.ts'

/** A file to be sent; `name` is that under which browsers save it. */
export interface SentFile {
  path: string
  name: string
  type: string
  bytes: number
  sha256: string
}

const header = (description: string, example: string) =>
  Type.Optional(Type.String({ maxLength: 200, description, examples: [example] }))

/** The headers of a request for a file, or for a part of it. */
export const fileHeaders = () =>
  Type.Composite([
    requestHeaders('if-none-match'),
    Type.Object({
      range: header('The bytes to return (RFC 9110 §14.2).', 'bytes=0-1048575'),
      'if-range': header(
        'Return the whole file unless it has this ETag.',
        '"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"'
      )
    })
  ])

/** For a range that begins after the end of a file of so many bytes. */
export const rangeNotSatisfiable = (bytes: number) =>
  new Problem(416, 'range_not_satisfiable', `The file has ${bytes} bytes.`, {
    headers: { 'content-range': `bytes */${bytes}` }
  })

/**
 * Sends a file, or what the request wants of it; its ETag is its SHA-256. Errors: 416; 503 on a
 * server that does not have the file.
 */
export async function sendFile(
  request: FastifyRequest,
  reply: FastifyReply,
  file: SentFile
): Promise<FastifyReply> {
  const etag = `"${file.sha256}"`
  if (hasCurrent(request, etag)) return reply.header('etag', etag).code(304).send()
  const { statusCode, headers, stream } = await partOf(file, request, etag)
  return reply
    .code(statusCode)
    .headers(headers)
    .header('etag', etag)
    .header('cache-control', 'private, no-cache')
    .type(`${file.type}; charset=utf-8`)
    .header('content-disposition', `attachment; filename="${file.name}"`)
    .send(stream)
}

/** The library does not know our tag: to a request with another one, the range does not matter. */
async function partOf({ path, bytes }: SentFile, request: FastifyRequest, etag: string) {
  const { range, 'if-range': ifRange = etag } = request.headers
  const headers = range !== undefined && ifRange === etag ? { range } : {}
  const wanted = { method: request.method, headers } as unknown as Readable
  const options = { etag: false, lastModified: false, cacheControl: false, contentType: false }
  const part = await send(wanted, encodeURI(path), { ...options, dotfiles: 'allow' })
  if (part.statusCode === 416) throw rangeNotSatisfiable(bytes)
  if (part.type !== 'file')
    throw unavailable(
      'The file is not on this server: its DATA_DIR differs from that of the others.'
    )
  return part
}
