import type { Ajv } from 'ajv'
import type { FastifyServerOptions } from 'fastify'
import fp from 'fastify-plugin'
import {
  clearBlankText,
  excessIn,
  repeatsFixedFields,
  setFixedFieldsAside,
  type BodySchema
} from '../core/http/bodies.ts'
import { ajv, invalidIn, urlValidator } from '../core/http/validation.ts'

type Json = Record<string, unknown>

/**
 * Bodies are validated as they are; text in URLs is converted to numbers and booleans as the schema
 * says. These are server options of Fastify because a compiler that a plugin sets is lost wherever
 * a schema is added.
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
        // schemas of headers are documentation; core/http/preconditions reads them
        if (httpPart === 'headers') return () => true
        return lazily(() =>
          httpPart === 'body'
            ? bodyValidator(bodies, schema)
            : urlValidator(urls.compile(schema), schema)
        )
      }
    },
    // responses consist of columns that are named one by one: there is nothing to filter out
    buildSerializer: () => () => (data: unknown) => JSON.stringify(data)
  }
  return {
    schemaErrorFormatter: invalidIn,
    schemaController: {
      compilersFactory: builders as unknown as NonNullable<
        FastifyServerOptions['schemaController']
      >['compilersFactory'] &
        object
    }
  }
}

type Validator = (data: Json) => object

function bodyValidator(bodies: Ajv, schema: Json): Validator {
  const validate = bodies.compile(schema)
  /** What a schema is or refers to. */
  const definitionOf = (schema: BodySchema): BodySchema =>
    schema.$ref === undefined ? schema : (bodies.getSchema(schema.$ref)!.schema as BodySchema)
  const definition = definitionOf(schema)
  return data => {
    const excess = excessIn(data)
    if (excess) return { error: [excess] }
    if (typeof data === 'object' && data !== null && !Array.isArray(data)) {
      setFixedFieldsAside(String(definition.$id), data)
      clearBlankText(definition, data, definitionOf)
      // what `fields` returned may have nothing else in it
      if (Object.keys(data).length === 0 && repeatsFixedFields(data)) return { value: data }
    }
    return validate(data) ? { value: data } : { error: validate.errors }
  }
}

/** Compiles at the first request of the route: all validators are most of the startup time. */
function lazily(compile: () => Validator): Validator {
  let validate: Validator | undefined
  return data => {
    validate ??= compile()
    return validate(data)
  }
}

/** A route without a query schema takes no parameters: unknown ones are refused everywhere. */
export const strictQueries = fp(async app => {
  app.addHook('onRoute', ({ schema, config }) => {
    if (schema && !schema.hide && (config?.permission ?? config?.public))
      schema.querystring ??= { type: 'object', properties: {}, additionalProperties: false }
  })
})
