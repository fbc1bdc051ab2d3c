import { allResources, resourceNamed, type Resource } from '../../src/core/records/resource.ts'
import {
  identityId,
  idVariable,
  deliveryId,
  jobId,
  lastOperation,
  oneTimeCode,
  oneTimeFields,
  oneTimeToken,
  otherSession,
  ownId,
  sessionId,
  sessionVariables,
  textOf,
  withCredentials,
  withRecords
} from './postman-variables.ts'

interface Reference {
  $ref: string
}
type Value = string | number | boolean
interface Schema {
  $ref?: undefined
  default?: Value
  example?: unknown
  properties?: Record<string, Schema | Reference>
}
interface Parameter {
  $ref?: undefined
  name: string
  in: string
  required?: boolean
  description?: string
  example?: Value
  schema: Schema
}
interface Message {
  $ref?: undefined
  content?: Record<string, { schema: Schema | Reference }>
}
interface Operation {
  operationId: string
  summary: string
  description: string
  tags: string[]
  security: object[]
  parameters?: (Parameter | Reference)[]
  requestBody?: Message
  responses: Record<string, Message | Reference>
}
export interface Document {
  info: { title: string }
  servers: { url: string }[]
  tags: { name: string; description: string }[]
  paths: Record<string, Record<string, Operation>>
  components: Record<string, Record<string, object>>
}
interface Request extends Operation {
  method: string
  path: string
}

/** The parameter of a path with the ID of a record of the type `type`. */
const linkedId = 'linked_id'

/** The preference that requests are sent with: records resemble those of the last run. */
const lenient = 'handling=lenient'

/** Requests that end the session: the last ones of the collection. */
const ending = new Set(['changePassword', 'logout'])

/**
 * The document as a collection for Postman, in which a run succeeds from top to bottom: logging in
 * sets the token, creating a record sets its ID for the requests that follow, and the last folder
 * deletes what was created. Optional parameters are there, but not sent. Requests with a token that
 * was mailed, a code of an app, and pages for browsers, are skipped unless it is set.
 */
export function collectionOf(document: Document): object {
  const requests = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) =>
      Object.assign({ method: method.toUpperCase(), path }, operation)
    )
  )
  const itemOf = (request: Request) => new Item(document, request).item()
  const folders = inOrder(document, requests).map(({ name, description }) => {
    const own = requests.filter(({ tags, operationId }) => tags[0] === name && !isLast(operationId))
    const inTurn = own.toSorted((a, b) => turnOf(a) - turnOf(b))
    return { name, description, item: inTurn.map(itemOf) }
  })
  // what is not restored in its own folder is deleted there for good
  const deletions = requests.filter(
    ({ method, path }) =>
      method === 'DELETE' && isRecord(path) && document.paths[`${path}/restore`]?.post
  )
  const last = requests.filter(({ operationId }) => isLast(operationId))
  const [changePassword, logout] = last.map(itemOf)
  const cleanUp = {
    name: 'clean up',
    description: 'Deletes what the other folders created, and ends the session.',
    item: [
      ...deletions.toReversed().map(itemOf),
      changePassword!,
      changedBack(changePassword!),
      logout!
    ]
  }
  return {
    info: {
      name: document.info.title,
      description: 'Set `baseUrl`, `username` and `password`, and log in first.',
      schema: 'https://schema.getpostman.com/json/collection/v2.1.0/collection.json'
    },
    auth: { type: 'bearer', bearer: [{ key: 'token', value: '{{token}}', type: 'string' }] },
    event: [testScript("pm.test('succeeds', () => pm.response.to.be.success)")],
    variable: variablesOf(document, requests),
    item: [...folders, cleanUp]
  }
}

/** The tags of the document: after the login, first those whose records are in paths of others. */
function inOrder({ tags }: Document, requests: Request[]) {
  const login = requests.find(({ operationId }) => operationId === 'login')!.tags[0]
  const first = tags.slice(0, tags.findIndex(({ name }) => name === login) + 1)
  const others = tags.filter(tag => !first.includes(tag))
  const isNeeded = ({ name }: { name: string }) => {
    const resource = allResources().find(({ path }) => path === name)
    const part = resource && `{${idVariable(resource)}}`
    return part !== undefined && requests.some(({ path }) => path.includes(part))
  }
  const needed = others.filter(isNeeded)
  return [...first, ...needed, ...others.filter(tag => !needed.includes(tag))]
}

const isLast = (operationId: string) => ending.has(operationId)
const isRecord = (path: string) => path.endsWith('/{id}')

/** Creates before it reads, reads before it changes, changes before it deletes and restores. */
function turnOf({ method, path }: Request): number {
  const isPart = /\}\/\w/.test(path)
  if (path.endsWith('/restore') || path.endsWith('/undo')) return 7
  if (method === 'POST') return isPart ? 2 : 1
  if (method === 'PUT' && path.endsWith('/external/{source}/{value}')) return 2
  return { GET: 3, PUT: 4, PATCH: 4, DELETE: isPart ? 5 : 6 }[method]!
}

const testScript = (...exec: string[]) => ({
  listen: 'test',
  script: { type: 'text/javascript', exec }
})

/** Skips a request while a variable has no value. */
const skipWithout = (name: string) => ({
  listen: 'prerequest',
  script: {
    type: 'text/javascript',
    exec: [`if (!pm.variables.get('${name}')) pm.execution.skipRequest()`]
  }
})

const setVariable = (name: string, value: string) =>
  `pm.collectionVariables.set('${name}', pm.response.json().${value})`

/** The change of the password to the new one, backward. */
function changedBack<T extends { name: string; request: { body?: { raw?: string } } }>(item: T): T {
  const { body } = item.request
  const raw = body!.raw!.replaceAll(/\{\{(new_)?password\}\}/g, (_, isNew) =>
    isNew ? '{{password}}' : '{{new_password}}'
  )
  const request = { ...item.request, body: { ...body, raw } }
  return { ...item, name: 'Change it back', request }
}

function variablesOf(document: Document, requests: Request[]) {
  const login = requests.find(({ operationId }) => operationId === 'login')!
  const change = requests.find(({ operationId }) => operationId === 'changePassword')!
  const { username, password } = new Item(document, login).bodyExample() as Record<string, string>
  const { new_password } = new Item(document, change).bodyExample() as Record<string, string>
  const ids = requests
    .filter(({ method, path }) => method === 'GET' && isRecord(path))
    .flatMap(request => new Item(document, request).idExample())
  const parts = requests.flatMap(request => new Item(document, request).partExample())
  const values = {
    baseUrl: document.servers[0]!.url,
    username,
    password,
    new_password,
    ...Object.fromEntries(Object.values(sessionVariables).map(name => [name, ''])),
    [oneTimeToken]: '',
    [oneTimeCode]: '',
    [identityId]: '',
    [jobId]: '',
    [deliveryId]: '',
    [lastOperation]: 1,
    [ownId]: 1,
    [sessionId]: 2,
    ...Object.fromEntries([...ids, ...parts])
  }
  return Object.entries(values).map(([key, value]) => ({ key, value: String(value) }))
}

/** Whether a path is of a job: exports have the IDs of theirs. */
const isOfJob = (path: string) => /^\/api\/(jobs|exports)\//.test(path)

/** One request of the collection. */
class Item {
  readonly #document: Document
  readonly #request: Request
  /** The resource of its path: `/api/contacts/{id}/history` is about contacts. */
  readonly #resource: Resource | undefined

  constructor(document: Document, request: Request) {
    this.#document = document
    this.#request = request
    const area = request.path.split('/')[2]
    this.#resource = allResources().find(({ path }) => path === area)
  }

  item() {
    const { summary, description, method, security } = this.#request
    const events = this.#events()
    return {
      name: summary,
      ...(events.length > 0 && { event: events }),
      request: {
        method,
        description,
        ...(security.length === 0 && { auth: { type: 'noauth' } }),
        header: this.#headers(),
        ...this.#body(),
        url: this.#url()
      }
    }
  }

  /** The example of the body, complete or from the examples of its fields. */
  bodyExample(): Record<string, unknown> {
    const [content] = Object.values(this.#request.requestBody?.content ?? {})
    const { example, properties = {} } = this.#resolve<Schema>(content!.schema)
    const fields = Object.entries(properties).map(([name, schema]) => [
      name,
      this.#resolve<Schema>(schema).example
    ])
    return (example ?? Object.fromEntries(fields)) as Record<string, unknown>
  }

  /** The variable in the path of a record, and its value in the example. */
  idExample(): [variable: string, value: unknown][] {
    const [id] = this.#parameters('path')
    return this.#resource ? [[idVariable(this.#resource), id!.schema.example]] : []
  }

  /** The parameter of a path below a record, and its example. */
  partExample(): [variable: string, value: unknown][] {
    const parts = this.#parameters('path').filter(
      ({ name }) => name.endsWith('_id') && name !== linkedId
    )
    return parts.map(({ name, schema }) => [name, schema.example])
  }

  #resolve<T extends object>(value: (T & { $ref?: undefined }) | Reference): T {
    if (value.$ref === undefined) return value
    const [kind, name] = value.$ref.split('/').slice(-2) as [string, string]
    return this.#document.components[kind]![name] as T
  }

  #parameters(place: string): Parameter[] {
    return (this.#request.parameters ?? [])
      .map(parameter => this.#resolve<Parameter>(parameter))
      .filter(parameter => parameter.in === place)
  }

  #pathExample(name: string): string {
    return String(this.#parameters('path').find(one => one.name === name)!.schema.example)
  }

  /** What is done before and after the request. */
  #events(): object[] {
    // as another user, too: requests that follow need nothing of the response
    const missing = this.#missing()
    if (missing !== undefined) return [skipWithout(missing)]
    const scripts = this.#scripts()
    return scripts.length > 0 ? [testScript(...scripts)] : []
  }

  /** The variable of what only the person who runs the collection can have. */
  #missing(): string | undefined {
    const { requestBody, operationId, path, responses } = this.#request
    if (operationId === 'unlinkIdentity') return identityId
    if (isOfJob(path)) return jobId
    if (path.startsWith('/api/deliveries/')) return deliveryId
    // pages for browsers lead to another server
    if ('302' in responses) return oneTimeToken
    const body = requestBody ? this.bodyExample() : {}
    if (oneTimeFields.some(field => field in body)) return oneTimeToken
    // recovery codes are those of a second factor that was confirmed
    return 'code' in body || operationId === 'createRecoveryCodes' ? oneTimeCode : undefined
  }

  /** What the requests that follow need of the response. */
  #scripts(): string[] {
    const { method, path, operationId } = this.#request
    const resource = this.#resource
    if (operationId === 'listSessions') return [setVariable(sessionId, otherSession)]
    if (operationId === 'listOperations') return [setVariable(lastOperation, 'data[0].id')]
    if (resource && method === 'POST' && path === `/api/${resource.path}`)
      return [setVariable(idVariable(resource), 'id')]
    const part = this.#partBelow()
    if (method === 'POST' && part !== undefined) return [setVariable(part, 'id')]
    return path.startsWith('/api/auth/') ? this.#sessionScripts() : []
  }

  /** Keeps the tokens of a login. */
  #sessionScripts(): string[] {
    const { responses } = this.#request
    const ok = responses['200'] && this.#resolve<Message>(responses['200'])
    const schema = ok?.content?.['application/json']?.schema
    const fields = Object.keys((schema && this.#resolve<Schema>(schema).properties) ?? {})
    return [
      ...fields
        .filter(field => sessionVariables[field] !== undefined)
        .map(field => setVariable(sessionVariables[field]!, field)),
      ...(fields.includes('token') ? [setVariable(ownId, 'user.id')] : [])
    ]
  }

  /** The parameter of the path of one of what this path lists: `share_id`. */
  #partBelow(): string | undefined {
    const below = `${this.#request.path}/{`
    const path = Object.keys(this.#document.paths).find(path => path.startsWith(below))
    const parameter = path?.slice(below.length, -1)
    return parameter === 'id' ? undefined : parameter
  }

  #headers() {
    const types = Object.keys(this.#request.requestBody?.content ?? {})
    return [
      ...types.slice(0, 1).map(value => ({ key: 'Content-Type', value })),
      ...this.#parameters('header').map(({ name, example, description }) => ({
        key: name,
        value: String(example),
        description,
        // a run creates records that resemble those of the last one
        disabled: !(name === 'prefer' && example === lenient)
      }))
    ]
  }

  #body() {
    const { requestBody } = this.#request
    if (!requestBody) return {}
    const example = this.bodyExample()
    const resource = this.#resource
    const body = resource ? withRecords(resource, example) : withCredentials(example)
    if (!('application/x-www-form-urlencoded' in requestBody.content!))
      return { body: { mode: 'raw', raw: textOf(body) } }
    const urlencoded = Object.entries(body).map(([key, value]) => ({ key, value }))
    return { body: { mode: 'urlencoded', urlencoded } }
  }

  #url() {
    const { operationId, path: template } = this.#request
    const path = template.replaceAll(/\{(\w+)\}/g, (_, name) => {
      if (name === 'id' && this.#resource) return `{{${idVariable(this.#resource)}}}`
      if (operationId === 'endSession') return `{{${sessionId}}}`
      if (isOfJob(template)) return `{{${jobId}}}`
      if (template.startsWith('/api/deliveries/')) return `{{${deliveryId}}}`
      if (template.startsWith('/api/operations/')) return `{{${lastOperation}}}`
      if (operationId === 'unlinkIdentity') return `{{${identityId}}}`
      if (name === linkedId) return `{{${idVariable(resourceNamed(this.#pathExample('type')))}}}`
      if (name.endsWith('_id')) return `{{${name}}}`
      return this.#pathExample(name)
    })
    const query = this.#parameters('query').map(({ name, required, description, ...given }) => ({
      key: name,
      value: String(given.example ?? given.schema.default ?? ''),
      description,
      // a stream that does not end would never be shown
      disabled: !required && !(operationId === 'streamEvents' && name === 'duration')
    }))
    return {
      raw: `{{baseUrl}}${path}`,
      host: ['{{baseUrl}}'],
      path: path.split('/').slice(1),
      ...(query.length > 0 && { query })
    }
  }
}
