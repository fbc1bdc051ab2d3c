import type { FastifyServerOptions } from 'fastify'
import fp from 'fastify-plugin'
import { invalid } from '../kit/errors.ts'
import { ajv, faultOf, urlValidator } from '../kit/validate.ts'

type Json = Record<string, unknown>

/**
 * Bodies are checked as they are; what stands in the URL is text and becomes numbers and booleans where the schema says so.
 * Server options of Fastify: a compiler set by a plugin is forgotten wherever a schema is added.
 */
export function validation (): Pick<FastifyServerOptions, 'schemaErrorFormatter' | 'schemaController'> {
  const bodies = ajv(false)
  const urls = ajv(true)
  const builders = {
    buildValidator (shared: Json) {
      for (const [id, schema] of Object.entries(shared)) if (!(id in bodies.schemas)) bodies.addSchema(schema as Json, id)
      return ({ schema, httpPart }: { schema: Json, httpPart?: string }) => {
        if (httpPart === 'body') return bodies.compile(schema)
        // headers are documented by their schemas, and read by kit/conditional
        return httpPart === 'headers' ? () => true : urlValidator(urls.compile(schema), schema)
      }
    },
    // answers are made of columns that were named one by one: there is nothing a second look could take out
    buildSerializer: () => () => (data: unknown) => JSON.stringify(data)
  }
  return {
    schemaErrorFormatter: (errors, part) => invalid(errors.slice(0, 100).map(error => faultOf(error, part))),
    schemaController: { compilersFactory: builders as unknown as NonNullable<FastifyServerOptions['schemaController']>['compilersFactory'] & object }
  }
}

/** A route that says nothing of a query takes none: an unknown parameter is a mistake everywhere. */
export const strictQueries = fp(async app => {
  app.addHook('onRoute', ({ schema, config }) => {
    if (schema && !schema.hide && (config?.permission ?? config?.public)) schema.querystring ??= { type: 'object', properties: {}, additionalProperties: false }
  })
})

