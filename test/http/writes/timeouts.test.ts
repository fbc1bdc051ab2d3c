// A write that takes too long: after its 503, nothing of it is done, however it was sent.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { application, longTimeouts, organization } from '../../support/app.ts'

const app = await application(t, {
  database: { strict_locks: true, timeouts: { ...longTimeouts, transaction: 700 } }
})

const operations = Array.from({ length: 1000 }, () => ({
  op: 'upsert',
  type: 'lead',
  match: { external: { erp: crypto.randomUUID() } },
  data: {}
}))

for (const headers of [{}, { 'idempotency-key': 'slow' }, { prefer: 'dry-run' }])
  t.test(
    `nothing is written after the end of a transaction: ${JSON.stringify(headers)}`,
    async t => {
      const { call, id } = await organization(app)
      const answer = await call('POST /api/batch', { mode: 'independent', operations }, headers)
      t.equal(answer.statusCode, 503, answer.body.slice(0, 200))
      const pool = app.services.database.pool
      const count = async () => {
        const [row] = await pool`select count(*) from events where organization_id = ${id}`
        return row!.count as number
      }
      const before = await count()
      await sleep(1500)
      t.equal(await count(), before)
      t.equal((await call('GET /api/leads?count=exact')).json().total, 0)
      t.equal((await call('POST /api/leads', {})).statusCode, 201, 'its connections are free again')
    }
  )
