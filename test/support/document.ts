import { Ajv, type ValidateFunction } from 'ajv'
import formats from 'ajv-formats'
import type { LightMyRequestResponse } from 'fastify'
import type { App } from './app.ts'

interface ResponseObject {
  $ref?: string
  headers?: Record<string, unknown>
  content?: Record<string, { schema: object }>
}
interface Parameter {
  $ref?: string
  name: string
  in: string
  description: string
  required?: boolean
  example?: string | number
  schema: { enum?: string[]; pattern?: string }
}
export interface Operation {
  operationId: string
  'x-permission'?: string
  security?: object[]
  requestBody?: { content: Record<string, { schema: { $ref?: string } }> }
  parameters?: Parameter[]
  responses: Record<string, ResponseObject>
}
export interface Document {
  paths: Record<string, Record<string, Operation>>
  components: {
    responses: Record<string, ResponseObject>
    schemas: Record<string, { example?: object }>
    parameters: Record<string, Parameter>
  }
}

/** The query string that an operation requires, with its examples. A stream is to end at once. */
export const requiredQuery = ({ parameters = [], responses }: Operation): string => {
  const isStream = 'text/event-stream' in (responses['200']?.content ?? {})
  return parameters
    .filter(({ in: place, required }) => place === 'query' && required)
    .map(({ name, example }) => `${name}=${example}`)
    .concat(isStream ? ['duration=0'] : [])
    .join('&')
}

/** A response of the document, in place of a reference to it. */
export const resolved = (app: App, response: ResponseObject): ResponseObject =>
  response.$ref ? documentOf(app).components.responses[response.$ref.split('/').at(-1)!]! : response

interface Known {
  document: Document
  ajv: Ajv
  checks: Map<string, ValidateFunction>
}
const known = new WeakMap<App, Known>()

/** The document with the parameters of its operations in place of references to shared ones. */
function withoutReferences(shared: Document): Document {
  const document = structuredClone(shared)
  const { parameters: components } = document.components
  for (const operation of Object.values(document.paths).flatMap(path => Object.values(path)))
    if (operation.parameters)
      operation.parameters = operation.parameters.map(parameter =>
        parameter.$ref ? components[parameter.$ref.split('/').at(-1)!]! : parameter
      )
  return document
}

export const documentOf = (app: App): Document => knownOf(app).document

function knownOf(app: App): Known {
  let found = known.get(app)
  if (!found) {
    const document = withoutReferences(app.swagger() as unknown as Document)
    // a plain validator: without the keywords of ours, as tools have it
    const ajv = new Ajv({ strict: false, allErrors: true, logger: false })
    ;(formats as unknown as typeof formats.default)(ajv)
    ajv.addSchema({ $id: 'document', ...document })
    known.set(app, (found = { document, ajv, checks: new Map() }))
  }
  return found
}

/** The operation of a request, by the templates of the document's paths. */
function operationOf(app: App, method: string, url: string): [string, Operation] | undefined {
  const path = url.split('?', 1)[0]!
  for (const [template, operations] of Object.entries(documentOf(app).paths)) {
    const pattern = new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]+')}$`)
    const operation = operations[method.toLowerCase()]
    if (pattern.test(path) && operation) return [template, operation]
  }
  return undefined
}

/** Throws unless the document has the response: its status, content type, headers and schema. */
export function conforms(
  app: App,
  method: string,
  url: string,
  answer: LightMyRequestResponse
): void {
  const found = operationOf(app, method, url)
  if (!found) return // not an operation: a 404 or 405, which other tests check
  const [template, operation] = found
  const where = `${method} ${template} → ${answer.statusCode}`
  const { ajv, checks } = knownOf(app)
  const written = operation.responses[answer.statusCode]
  if (!written) throw new Error(`${where} is not in the document: ${answer.body.slice(0, 500)}`)
  const response = resolved(app, written)
  for (const name of ['etag', 'location', 'link', 'retry-after', 'www-authenticate']) {
    const documented = Object.keys(response.headers ?? {}).some(
      header => header.toLowerCase() === name
    )
    if (answer.headers[name] !== undefined && !documented)
      throw new Error(`${where} has an undocumented header ${name}`)
  }
  if (response.content === undefined) {
    if (answer.body !== '') throw new Error(`${where} has a body`)
    return
  }
  const type = String(answer.headers['content-type']).split(';', 1)[0]!
  const content = response.content[type]
  if (!content) throw new Error(`${where} is ${type}, which is not in the document`)
  if (!type.endsWith('json') || type === 'application/x-ndjson' || method === 'HEAD') return
  let check = checks.get(where + type)
  if (!check)
    checks.set(
      where + type,
      (check = ajv.compile(
        JSON.parse(JSON.stringify(content.schema).replaceAll('"#/', '"document#/')) as object
      ))
    )
  if (!check(answer.json()))
    throw new Error(
      `${where} does not match the document: ${JSON.stringify(check.errors!.slice(0, 3))} ` +
        answer.body.slice(0, 500)
    )
}
