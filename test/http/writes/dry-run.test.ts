import type { LightMyRequestResponse } from 'fastify'
import { test } from 'tap'
import { ownerOf, type App } from '../../support/app.ts'
import { installation, sendExamples } from '../../support/examples.ts'

/** What a database holds, but for its sequences: the digest of each table. */
async function contentsOf(app: App): Promise<Record<string, string>> {
  await app.services.sequencer.catchUp() // it follows the events, whenever that is
  const owner = ownerOf(app)
  const tables = await owner<{ name: string }[]>`
    select format('%I.%I', schemaname, tablename) as name from pg_tables
    where schemaname in ('public', 'graphile_worker') order by 1`
  const digests = await Promise.all(
    tables.map(async ({ name }) => {
      const [row] = await owner.unsafe(
        `select md5(string_agg(t::text, '|' order by t::text)) as digest from ${name} t`
      )
      return [name, String(row!.digest)] as const
    })
  )
  return Object.fromEntries(digests)
}

/** Makes a request whose new records have other IDs than those of the next request. */
async function withOtherIds<T>(app: App, send: () => Promise<T>): Promise<T> {
  const owner = ownerOf(app)
  const sequences = await owner<{ name: string; last: number | null }[]>`
    select format('%I.%I', schemaname, sequencename) as name, last_value as last
    from pg_sequences where schemaname = 'public'`
  for (const { name, last } of sequences) await owner`select setval(${name}, ${(last ?? 0) + 1000})`
  const result = await send()
  for (const { name, last } of sequences)
    await owner`select setval(${name}, ${last ?? 1}, ${last !== null})`
  return result
}

/** Values that no two runs have in common: IDs, times, and what is made at random. */
const own = /^(id|.*_at|.*_id|.*_until|token|prefix|secret|timestamp)$/

function comparable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(comparable)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => name !== 'effects')
      .map(([name, field]) => [name, own.test(name) ? typeof field : comparable(field)])
  )
}
const bodyOf = ({ body }: LightMyRequestResponse) => comparable(body === '' ? {} : JSON.parse(body))

test('a dry run of every write leaves no trace, and is followed by what it said', async t => {
  const app = await installation(t)
  let tried = 0
  await sendExamples(t, app, async ({ method, path, parameters = [], operationId }, send) => {
    if (method === 'GET') return await send()
    const hasPlans = parameters.some(one => JSON.stringify(one).includes('if-plan'))
    const before = await contentsOf(app)
    const dry = await withOtherIds(app, async () => await send({ prefer: 'dry-run' }))
    t.same(await contentsOf(app), before, `${method} ${path} leaves no trace`)
    if (!hasPlans) {
      t.equal(dry.statusCode, 400, `${operationId} has no dry run`)
      return await send()
    }
    tried++
    t.equal(dry.headers['preference-applied'], 'dry-run', `${method} ${path}`)
    t.ok(Array.isArray(dry.json().effects), `${method} ${path} tells its effects`)
    const done = await send({ 'if-plan': String(dry.headers.plan) })
    t.same(bodyOf(dry), bodyOf(done), `${method} ${path} responds as it said`)
    const expected = done.statusCode === 204 ? 200 : done.statusCode
    t.equal(dry.statusCode, expected, `${method} ${path} has the status it said`)
    return done
  })
  t.ok(tried > 80, `${tried} operations`)
})
