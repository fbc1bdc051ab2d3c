import t from 'tap'
import { application, longTimeouts, organization, ownerOf } from '../../support/app.ts'

t.test('nobody waits for positions for long, and a stop does not wait at all', async t => {
  const app = await application(t, { database: { timeouts: { ...longTimeouts, answer: 500 } } })
  const { call } = await organization(app)
  const { next_cursor: after } = (await call('GET /api/events?after=latest')).json()
  await ownerOf(app).begin(async lock => {
    await lock`select pg_advisory_xact_lock('event_sequence'::regclass::oid::bigint)`
    await call('POST /api/contacts', { first_name: 'Jo', last_name: 'Doe' })
    const start = performance.now()
    const page = await call(`GET /api/events?after=${after}&types=contact.*`)
    t.match(page.json(), { data: [], next_cursor: after }, 'the page ends at the known positions')
    await app.services.sequencer.stop()
    t.ok(performance.now() - start < 3_000)
  })
  const { data } = (await call(`GET /api/events?after=${after}&types=contact.*`)).json()
  t.match(data, [{ type: 'contact.created' }], 'what had no position has it later')
})
