// The published document, as the tools of others read it.
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { application, organization } from '../support/app.ts'
import { requiredQuery, type Operation } from '../support/document.ts'

interface Schema {
  pattern?: string
  example?: unknown
}
interface Parameter {
  name: string
  in: string
  example?: string | number | boolean
  schema: Schema & { type: string; default?: unknown }
}
interface Document {
  servers: { url: string }[]
  paths: Record<string, Record<string, { parameters?: (Parameter | { $ref: string })[] }>>
  components: { schemas: Record<string, Schema>; parameters: Record<string, Parameter> }
}
const text = readFileSync('openapi/openapi.json', 'utf8')
const document = JSON.parse(text) as Document
const { components, paths } = document

// strict: false lets it ignore the keywords of OpenAPI and ours, as any validator does
const ajv = new Ajv({ strict: false, allErrors: true, logger: false })
;(formats as unknown as typeof formats.default)(ajv)
ajv.addSchema({ $id: 'document', ...document })
const validatorOf = (pointer: string) => ajv.getSchema(`document#${pointer}`)!
const component = (name: string) => validatorOf(`/components/schemas/${name}`)

const parameters = Object.values(paths)
  .flatMap(operations => Object.values(operations))
  .flatMap(operation => operation.parameters ?? [])
  .map(one => ('$ref' in one ? components.parameters[one.$ref.split('/').at(-1)!]! : one))

const app = await application(t)
const { call } = await organization(app)

t.test('every amount that the API accepts is valid for a plain validator', async t => {
  t.notMatch(text, /"multipleOf"/)
  for (const amount of [4.35, 19.99, 0.29, 1.1, 8.2, 64.1, 1234.57, 99_999_999.99]) {
    const body = { title: 'A sale', amount }
    t.ok(component('NewOpportunity')(body), `${amount} is valid`)
    const created = await call('POST /api/opportunities', body)
    t.equal(created.json().amount, amount)
    t.ok(component('Opportunity')(created.json()), `${amount} is valid in a response`)
    const filter = `amount[gte]=${amount}&amount[lte]=${amount}`
    const found = (await call(`GET /api/opportunities?${filter}`)).json()
    t.ok(component('OpportunityPage')(found), `${amount} is valid in a list`)
    t.equal(found.data.length, 1)
  }
  for (const amount of [4.355, 0.001, 1e-7]) {
    const refused = await call('POST /api/opportunities', { title: 'A sale', amount })
    t.match(refused.json(), {
      status: 400,
      errors: [{ pointer: '/amount', code: 'multipleOf', params: { decimals: 2 } }]
    })
  }
})

t.test('rows with only some fields are valid for a plain validator', async t => {
  const { id } = (await call('POST /api/contacts', { first_name: 'A', last_name: 'B' })).json()
  const page = (await call('GET /api/contacts?fields=id,email')).json()
  t.same(page.data, [{ id, email: null }])
  t.ok(component('ContactPage')(page))
  t.notOk(component('Contact')(page.data[0]), 'a whole contact has all fields')
  t.ok(component('PartialContact')(page.data[0]))
  t.notOk(component('PartialContact')({ id: 'x' }), 'and fields keep their types')
  t.same((await call(`GET /api/contacts/${id}?fields=email`)).json(), { email: null })
  const whole = (await call('GET /api/contacts?include=tags')).json()
  t.ok(component('ContactPage')(whole))
})

t.test('a conversion without an account, a contact or an opportunity is valid', async t => {
  const lead = (await call('POST /api/leads', {})).json()
  const parts = { account: null, contact: null, opportunity: null }
  const converted = await call(`POST /api/leads/${lead.id}/conversion`, parts)
  t.match(converted.json(), parts)
  t.ok(component('Conversion')(converted.json()))
})

t.test('every example is valid', t => {
  for (const [name, { example }] of Object.entries(components.schemas))
    if (example !== undefined) {
      const check = component(name)
      t.ok(check(example), `${name}: ${JSON.stringify(check.errors)}`)
    }
  for (const { name, example, schema } of parameters)
    if (example !== undefined) t.ok(ajv.validate(schema, example), `${name}: ${String(example)}`)
  t.end()
})

t.test('every parameter has an example or a default, except a cursor', t => {
  for (const { name, in: place, example, schema } of parameters)
    if (name !== 'cursor')
      t.ok((example ?? schema.example ?? schema.default) !== undefined, `${place} ${name}`)
  t.end()
})

t.test('the example of each parameter of a list is accepted', async t => {
  for (const [path, { get }] of Object.entries(paths)) {
    if (!get || path.includes('{') || !path.startsWith('/api/')) continue
    for (const one of get.parameters ?? []) {
      const parameter = '$ref' in one ? components.parameters[one.$ref.split('/').at(-1)!]! : one
      const { name, in: place, example } = parameter
      if (place !== 'query' || example === undefined) continue
      // reports are about a pipeline, and those of other organizations are unknown
      const query = new URLSearchParams(requiredQuery(get as Operation))
      // the style `deepObject`
      const parts = typeof example === 'object' ? Object.entries(example) : []
      for (const [key, value] of parts) query.set(`${name}[${key}]`, String(value))
      if (parts.length === 0) query.set(name, String(example))
      if (path === '/api/reports/funnel' && name === 'pipeline_id') continue
      if (name === 'filter') query.set('types', 'contact.*')
      t.equal((await call(`GET ${path}?${query.toString()}`)).statusCode, 200, `${path}?${name}`)
    }
  }
})

t.test('people can read its patterns, and tools need no help to find the server', async t => {
  for (const [, pattern] of text.matchAll(/"pattern":"((?:[^"\\]|\\.)*)"/g))
    t.notMatch(pattern, /\\u|\\x|[^ -~]/)
  t.match(document.servers[0]?.url, /^https?:\/\/[^/]+$/)
  const elsewhere = await application(t, { public_url: 'https://crm.example.com/' })
  const served = (await elsewhere.inject('/openapi.json')).json<Document>()
  t.equal(served.servers[0]?.url, 'https://crm.example.com')
  t.notMatch(text, /"enum":\[null\]/, 'null is nullable')
})
