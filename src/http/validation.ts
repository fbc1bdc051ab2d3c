import type { ValidateFunction } from 'ajv'
import type { FastifyServerOptions } from 'fastify'
import fp from 'fastify-plugin'
import { invalid } from '../core/errors.ts'
import { ajv, faultOf, urlValidator } from '../core/http/validation.ts'

type Json = Record<string, unknown>

/**
 * Bodies are checked as they are; what stands in the URL is text and becomes numbers and booleans where the schema says so.
 * Server options of Fastify: a compiler set by a plugin is forgotten wherever a schema is added.
 */
export function validation(): Pick<
  FastifyServerOptions,
  'schemaErrorFormatter' | 'schemaController'
> {
  const bodies = ajv(false)
  const urls = ajv(true)
  const builders = {
    buildValidator(shared: Json) {
      for (const [id, schema] of Object.entries(shared))
        if (!(id in bodies.schemas)) bodies.addSchema(schema as Json, id)
      return ({ schema, httpPart }: { schema: Json; httpPart?: string }) => {
        // headers are documented by their schemas, and read by core/http/preconditions
        if (httpPart === 'headers') return () => true
        return whenNeeded(() =>
          httpPart === 'body'
            ? bodyValidator(bodies.compile(schema))
            : urlValidator(urls.compile(schema), schema)
        )
      }
    },
    // answers are made of columns that were named one by one: there is nothing a second look could take out
    buildSerializer: () => () => (data: unknown) => JSON.stringify(data)
  }
  return {
    schemaErrorFormatter: (errors, part) => {
      // of several faults of one value the first is enough: a form shows one, and a text that is empty need not be told that it has nothing to see in it
      const faults = new Map(
        errors
          .slice(0, 100)
          .map(error => faultOf(error, part))
          .toReversed()
          .map(fault => [fault.pointer ?? fault.parameter, fault])
      )
      return invalid([...faults.values()].toReversed())
    },
    schemaController: {
      compilersFactory: builders as unknown as NonNullable<
        FastifyServerOptions['schemaController']
      >['compilersFactory'] &
        object
    }
  }
}

type Validator = (data: Json) => object

const bodyValidator =
  (validate: ValidateFunction): Validator =>
  data =>
    validate(data) ? { value: data } : { error: validate.errors }

/** Compiled by the first request of its route: all of them together are most of the time of a start. */
function whenNeeded(compile: () => Validator): Validator {
  let validate: Validator | undefined
  return data => (validate ??= compile())(data)
}

/** A route that says nothing of a query takes none: an unknown parameter is a mistake everywhere. */
export const strictQueries = fp(async app => {
  app.addHook('onRoute', ({ schema, config }) => {
    if (schema && !schema.hide && (config?.permission ?? config?.public))
      schema.querystring ??= { type: 'object', properties: {}, additionalProperties: false }
  })
})
