import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { docsContentPolicy } from '../security.ts'
import type { Parameter, Reference } from './document.ts'

const icon =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8">' +
  '<rect width="8" height="8" rx="2" fill="#49cc90"/>' +
  '<path d="M2 2l4 4M6 2L2 6" stroke="#fff"/></svg>'

/** A login needs only a name and a password; an error is one line until it is clicked. */
const style = `
.swagger-ui .auth-container :is(
  .scope-def, .wrapper:has(> [for=password_type], > [for^=client_])
) { display: none }
.swagger-ui tr:is([data-code^="4"], [data-code^="5"]) :is(
  .response-col_status, .response-col_description__inner
) { cursor: pointer }
.swagger-ui tr:is([data-code^="4"], [data-code^="5"]) .response-col_status::after {
  content: ' ▾'
}
.swagger-ui tr:is([data-code^="4"], [data-code^="5"]):not(.open) :is(
  .response-controls, .model-example, .headers-wrapper
) { display: none }`
const unfold = `addEventListener('click', ({ target }) => {
  const cell = target.closest('.response-col_status, .response-col_description__inner')
  cell?.closest('tr').classList.toggle('open')
})`

interface Shown {
  servers?: object[]
  paths: Record<string, Record<string, { parameters?: (Parameter | Reference)[] }>>
  components: { parameters: Record<string, Parameter> }
}

/**
 * The document for those who try requests: on the server that they are at, and without examples of
 * optional parameters, since Swagger UI would fill in all of them.
 */
function forTrying(document: object): Shown {
  const shown = structuredClone(document) as Shown
  const operations = Object.values(shown.paths).flatMap(path => Object.values(path))
  const own = operations.flatMap(({ parameters = [] }) => parameters)
  for (const parameter of [...own, ...Object.values(shown.components.parameters)]) {
    if ('$ref' in parameter || parameter.required || parameter.example === undefined) continue
    // of a map it would make up an example: an empty one is not sent
    if (typeof parameter.example === 'object') parameter.example = {}
    else {
      parameter.description += ` Example: \`${parameter.example}\`.`
      delete parameter.example
    }
  }
  return { ...shown, servers: [{ url: '/' }] }
}

/** Swagger UI at `/docs`. */
export async function swaggerDocs(app: FastifyInstance): Promise<void> {
  app.addHook('onRoute', route => {
    route.config = { ...route.config, public: true }
  })
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header('content-security-policy', docsContentPolicy)
    done()
  })
  let shown: Shown | undefined
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    transformSpecification: document => (shown ??= forTrying(document)),
    transformSpecificationClone: false,
    uiConfig: {
      layout: 'BaseLayout',
      docExpansion: 'none',
      displayRequestDuration: true,
      persistAuthorization: true,
      tryItOutEnabled: true,
      filter: true
    },
    theme: {
      title: 'SmartX CRM API',
      favicon: [
        { filename: 'icon.svg', rel: 'icon', type: 'image/svg+xml', sizes: 'any', content: icon }
      ],
      css: [{ filename: 'style.css', content: style }],
      js: [{ filename: 'unfold.js', content: unfold }]
    }
  })
}
