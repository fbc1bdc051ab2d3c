import compress from '@fastify/compress'
import fp from 'fastify-plugin'

/** JSON lines are not among the types that the plugin knows. */
const compressible = /^(text\/|image\/svg\+xml|application\/(json|problem\+json|x-ndjson))/

/**
 * Compresses responses of 1 KiB or more. A compressed response keeps its strong ETag, since
 * `If-Match` compares versions of records, not bytes. Responses with tokens are smaller, so that
 * their length tells nothing about them. Request bodies are not decompressed.
 */
export const compression = fp(async app => {
  await app.register(compress, {
    encodings: ['br', 'gzip'],
    threshold: 1024,
    customTypes: compressible,
    globalDecompression: false
  })
})
