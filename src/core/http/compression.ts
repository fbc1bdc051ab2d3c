import compress from '@fastify/compress'
import type { FastifyInstance } from 'fastify'

/** JSON lines are not among the types that the plugin knows. */
const compressible = /^(text\/|image\/svg\+xml|application\/(json|problem\+json|x-ndjson))/

/**
 * Mounts routes whose responses are compressed if they have 1 KiB or more: lists, reports and the
 * document. They have a scope of their own, because the plugin would cost each cached read of a
 * record, most of which are smaller, 15 % of its CPU. Request bodies are not decompressed.
 */
export async function withCompression(
  app: FastifyInstance,
  mount: (app: FastifyInstance) => void
): Promise<void> {
  await app.register(async scope => {
    await scope.register(compress, {
      encodings: ['br', 'gzip'],
      threshold: 1024,
      customTypes: compressible,
      globalDecompression: false
    })
    mount(scope)
  })
}
