import t from 'tap'
import { application, organization } from '../../support/app.ts'

const app = await application(t)

t.test('a lead that has a contact keeps it when it is converted into another one', async t => {
  const { call } = await organization(app)
  const person = { first_name: 'A', last_name: 'B' }
  const own = (await call('POST /api/contacts', person)).json()
  const other = (await call('POST /api/contacts', { ...person, last_name: 'C' })).json()
  const lead = (await call('POST /api/leads', { contact_id: own.id })).json()
  const path = `/api/leads/${lead.id}/conversion`
  const converted = (await call(`POST ${path}`, { contact: { id: other.id } })).json()
  t.match(converted, { contact: { id: other.id }, lead: { contact_id: own.id } })
  t.match((await call(`DELETE ${path}`)).json(), { lead: { contact_id: own.id, status: 'new' } })
})

t.test('a lead without a contact gets the one it is converted into', async t => {
  const { call } = await organization(app)
  const contact = { first_name: 'A', last_name: 'B' }
  const lead = (await call('POST /api/leads', {})).json()
  const path = `/api/leads/${lead.id}/conversion`
  const converted = (await call(`POST ${path}`, { contact })).json()
  t.equal(converted.lead.contact_id, converted.contact.id)
  t.match((await call(`DELETE ${path}`)).json(), { lead: { contact_id: null } })
})
