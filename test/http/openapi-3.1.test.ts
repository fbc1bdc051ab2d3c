import formats from 'ajv-formats'
import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import { messageOf } from '../../src/modules/integrations/deliveries/messages.ts'
import { eventTypes } from '../../src/modules/integrations/events/types.ts'
import type { Entry } from '../../src/modules/integrations/events/service.ts'
import { application, organization } from '../support/app.ts'
import { ours, plant } from '../support/plant.ts'

const app = await application(t)
interface Rendering {
  openapi: string
  paths: object
  components: { schemas: Record<string, object> }
  webhooks: Record<string, { post: { requestBody: object } }>
}
const document = (await app.inject('/openapi-3.1.json')).json<Rendering>()
const ajv = new Ajv2020({ strict: false, allErrors: true, logger: false })
;(formats as unknown as typeof formats.default)(ajv)
ajv.addSchema({ $id: 'document', ...document })
const schemaOf = (name: string) => ajv.compile({ $ref: `document#/components/schemas/${name}` })

t.test('the document is also one of OpenAPI 3.1, with plain JSON Schemas', async t => {
  t.match(document.openapi, /^3\.1\./)
  const plain = (await app.inject('/openapi.json')).json<Rendering>()
  t.same(Object.keys(document.paths), Object.keys(plain.paths))
  t.notMatch(JSON.stringify(document), /"nullable"/)
  for (const name of Object.keys(document.components.schemas))
    t.doesNotThrow(() => schemaOf(name), name)
})

t.test('it has a webhook for each type of event, whose messages are as described', async t => {
  t.same(
    Object.keys(document.webhooks),
    eventTypes().map(({ type }) => type)
  )
  const { call } = await organization(app)
  const ids = await plant(call, ours)
  await call(`PATCH /api/contacts/${ids.contacts}`, { last_name: 'Other' })
  await call(`DELETE /api/contacts/${ids.contacts}`)
  const { data } = (await call('GET /api/events?limit=500')).json<{ data: Entry[] }>()
  t.ok(new Set(data.map(({ type }) => type)).size > 15)
  for (const entry of data) {
    const request = JSON.stringify(document.webhooks[entry.type]!.post.requestBody)
    const name = /schemas\/(\w+)"/.exec(request)![1]!
    const check = schemaOf(name)
    for (const format of ['full', 'thin'])
      for (const fields of [null, ['last_name']]) {
        const { payload } = messageOf(entry, { format, fields })
        t.ok(check(JSON.parse(payload)), `${format} ${entry.type}: ${JSON.stringify(check.errors)}`)
      }
  }
})
