// Row-level security as a detector: no statement may look at a row of another organization.
import t from 'tap'
import { application, caller, database, organization, ownerOf } from '../../support/app.ts'
import { documentOf } from '../../support/document.ts'
import { holds, ours, plant, theirs } from '../../support/plant.ts'
import { readAll } from '../../support/reads.ts'

const database_url = await database(t)
const app = await application(t, { database_url })
const sql = ownerOf(app)

const tenantUrl = database_url.replace('//postgres@', '//smartx_tenant@')

/** An application whose statements fail when they look at a row of another organization. */
const confined = async (id: number) =>
  await application(t, {
    database_url: `${tenantUrl}?app.organization=${id}`
  })

/** The next organization gets the IDs that the first one has. */
async function restartIds(): Promise<void> {
  const tables = await sql<{ name: string }[]>`
    select table_name as name from information_schema.columns
    where table_schema = 'public' and column_name = 'deleted_at'`
  for (const { name } of tables) await sql.unsafe(`alter table ${name} alter id restart`)
}

const first = await organization(app)
const ids = await plant(first.call, ours)
await restartIds()
const second = await organization(app)
const sameIds = await plant(second.call, theirs)
for (const { call } of [first, second]) await call(`POST /api/leads/${ids.leads}/conversion`, {})

t.test('every table of organizations is watched', async t => {
  const unwatched = await sql`
    select table_name from information_schema.columns
    join pg_class c on c.oid = table_name::regclass
    where table_schema = 'public' and column_name = 'organization_id' and not relrowsecurity`
  t.same(unwatched, [])
  const app = await confined(first.id)
  const forgetful = app.services.database.pool`select username from users where id = 1`
  await t.rejects(forgetful, /without its organization/, 'a forgotten organization would be found')
})

t.test('reading looks at nothing of another organization, even one with the same IDs', async t => {
  t.same(sameIds, ids)
  await app.services.sequencer.catchUp() // which is about all organizations
  const call = caller(await confined(first.id), { authorization: `Bearer ${first.admin.token}` })
  const confinedAnswers = await readAll(app, call, ids)
  t.ok(confinedAnswers.size > 200, `${confinedAnswers.size} requests`)
  for (const [request, answer] of await readAll(app, first.call, ids)) {
    t.equal(confinedAnswers.get(request), answer, request)
    t.notOk(holds(answer, theirs), `${request} names nothing of the other organization`)
  }
})

t.test('the cache keeps records with the same IDs apart', async t => {
  for (const [path, id] of Object.entries(ids))
    for (const { call } of [first, first, second]) {
      const { body } = await call(`GET /api/${path}/${id}`)
      t.notOk(holds(body, call === first.call ? theirs : ours), path)
    }
})

t.test('writing looks at nothing of another organization', async t => {
  const third = await organization(app)
  const app3 = await confined(third.id)
  const call = caller(app3, { authorization: `Bearer ${third.admin.token}` })
  const ids = await plant(call, { word: 'thirds', color: '#333333' })
  const { paths } = documentOf(app)
  for (const [path, id] of Object.entries(ids)) {
    const one = `/api/${path}/${id}`
    const { version } = (await call(`GET ${one}`)).json()
    t.not((await call(`PUT ${one}`, { version })).statusCode, 500, `PUT ${one}`)
  }
  t.equal((await call(`POST /api/leads/${ids.leads}/conversion`, {})).statusCode, 201)
  t.equal((await call(`DELETE /api/leads/${ids.leads}/conversion`)).statusCode, 200)
  for (const path of Object.keys(ids).toReversed()) {
    const one = `/api/${path}/${ids[path]}`
    t.ok((await call(`DELETE ${one}`)).statusCode < 500, `DELETE ${one}`)
    if (paths[`/api/${path}/{id}/restore`])
      t.ok((await call(`POST ${one}/restore`)).statusCode < 500, `restore ${one}`)
  }
})
