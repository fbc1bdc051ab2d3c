import type { Test } from 'tap'
import { organization, type App, type Call } from './app.ts'

type Json = Record<string, unknown>

/**
 * What every record promises. `valid`: the body of a new one, which may create what it refers to by
 * `call`; `change`: the body of an update; `invalid`: fields that are refused with a 400, and the
 * pointer to them; `turns`: values for the first field of `change`, if it does not take any text.
 */
export async function behavesLikeARecord(
  t: Test,
  app: App,
  path: string,
  {
    valid,
    change,
    invalid,
    turns,
    derived = []
  }: {
    valid: (call: Call) => Json | Promise<Json>
    change: Json
    invalid: [Json, string][]
    turns?: unknown[]
    /** Fields that are in no event. */
    derived?: string[]
  }
) {
  const { call } = await organization(app)
  const other = await organization(app)
  const create = async () =>
    (await call(`POST ${path}`, await valid(call))).json() as Json & { id: number; version: number }

  await t.test('can be created, read, updated and deleted', async t => {
    const input = await valid(call)
    const created = await call(`POST ${path}`, input)
    const record = created.json()
    t.match(
      [created.statusCode, created.headers.etag, created.headers.location],
      [201, '"1"', `${path}/${record.id}`]
    )
    const { password: _, ...visible } = input
    t.match(
      record,
      { ...visible, version: 1, deleted_at: null },
      'it has the fields that were sent'
    )
    t.same(
      (await call(`GET ${path}/${record.id}`)).json(),
      record,
      'a read returns what the creation returned'
    )
    const changed = await call(`PATCH ${path}/${record.id}`, change)
    t.match(
      changed.json(),
      { ...record, ...change, version: 2, updated_at: String },
      'an update changes only the fields sent'
    )
    t.equal(changed.headers.etag, '"2"')
    t.same(
      (await call(`GET ${path}/${record.id}`)).json(),
      changed.json(),
      'a read after an update returns the update'
    )
    t.same(
      (await call(`GET ${path}?id=${record.id}`)).json().data,
      [changed.json()],
      'the list has it'
    )
    const deleted = await call(`DELETE ${path}/${record.id}`)
    t.match([deleted.statusCode, deleted.body], [204, ''])
    for (const request of ['GET', 'DELETE'])
      t.equal(
        (await call(`${request} ${path}/${record.id}`)).statusCode,
        404,
        `${request} of a deleted record is 404`
      )
    t.equal(
      (await call(`PATCH ${path}/${record.id}`, change)).statusCode,
      404,
      'a deleted record cannot be changed'
    )
  })

  await t.test('PUT and PATCH do the same, and PATCH accepts a merge patch', async t => {
    const { id } = await create()
    t.match((await call(`PUT ${path}/${id}`, change)).json(), change)
    const merged = await call(`PATCH ${path}/${(await create()).id}`, change, {
      'content-type': 'application/merge-patch+json'
    })
    t.match([merged.statusCode, merged.json()], [200, change])
    t.equal(
      (await call(`PUT ${path}/${id}`, change, { 'content-type': 'application/merge-patch+json' }))
        .statusCode,
      415
    )
  })

  await t.test('a stale If-Match is refused and changes nothing', async t => {
    const { id } = await create()
    t.equal((await call(`PATCH ${path}/${id}`, change, { 'if-match': '"1"' })).statusCode, 200)
    for (const [method, body] of [
      ['PATCH', change],
      ['PUT', change],
      ['DELETE', undefined]
    ] as const) {
      const stale = await call(`${method} ${path}/${id}`, body, { 'if-match': '"1"' })
      t.match(
        [stale.statusCode, stale.json().code, stale.headers.etag],
        [412, 'stale', '"2"'],
        `${method} returns the current version`
      )
    }
    t.equal((await call(`GET ${path}/${id}`)).json().version, 2)
    t.equal(
      (await call(`PATCH ${path}/${id}`, change, { 'if-match': '3' })).statusCode,
      400,
      'an If-Match without quotes is not an entity tag'
    )
    t.equal(
      (await call(`PATCH ${path}/${id}`, change, { 'if-match': 'W/"2"' })).statusCode,
      412,
      'a weak tag matches nothing'
    )
    t.equal(
      (await call(`DELETE ${path}/${id}`, undefined, { 'if-match': '"7", "2"' })).statusCode,
      204,
      'one of several tags is enough'
    )
  })

  await t.test('If-None-Match returns 304 without a body', async t => {
    const { id } = await create()
    for (const tag of ['"1"', 'W/"1"', '"9", "1"', '*']) {
      const answer = await call(`GET ${path}/${id}`, undefined, { 'if-none-match': tag })
      t.match([answer.statusCode, answer.body, answer.headers.etag], [304, '', '"1"'], tag)
    }
    t.equal(
      (await call(`GET ${path}/${id}`, undefined, { 'if-none-match': '"2"' })).statusCode,
      200
    )
  })

  await t.test('an update that changes nothing keeps the version and writes no event', async t => {
    const { id } = await create()
    await call(`PATCH ${path}/${id}`, change)
    const again = await call(`PATCH ${path}/${id}`, change, { 'if-match': '"2"' })
    const { password: _, ...visible } = change
    if (Object.keys(visible).length === Object.keys(change).length)
      t.match([again.statusCode, again.json().version], [200, 2])
    t.equal((await call(`GET ${path}/${id}/history`)).json().data.length, 2)
  })

  await t.test(
    'an invalid field is refused with a pointer to it, and nothing is stored',
    async t => {
      const before = (await call(`GET ${path}?count=exact&limit=1`)).json().total
      for (const [fields, pointer] of invalid) {
        const refused = await call(`POST ${path}`, { ...(await valid(call)), ...fields })
        t.match(
          [
            refused.statusCode,
            refused.headers['content-type'],
            refused.json().errors?.[0]?.pointer
          ],
          [400, /problem\+json/, pointer],
          JSON.stringify(fields).slice(0, 80)
        )
      }
      for (const field of [
        'id',
        'organization_id',
        'version',
        'created_at',
        'created_by',
        'deleted_at',
        'search_text',
        'nonsense'
      ]) {
        t.match((await call(`POST ${path}`, { ...(await valid(call)), [field]: 1 })).json(), {
          status: 400,
          errors: [{ pointer: `/${field}`, code: 'unknown' }]
        })
      }
      const { id } = await create()
      t.equal(
        (await call(`PATCH ${path}/${id}`, {})).statusCode,
        400,
        'an update without fields is refused'
      )
      t.equal((await call(`GET ${path}?count=exact&limit=1`)).json().total, before + 1)
    }
  )

  await t.test('is invisible to other organizations', async t => {
    const { id } = await create()
    for (const request of ['GET', 'DELETE', 'PATCH', 'PUT']) {
      t.equal(
        (await other.call(`${request} ${path}/${id}`, request.startsWith('P') ? change : undefined))
          .statusCode,
        404,
        request
      )
    }
    t.equal((await other.call(`POST ${path}/${id}/restore`)).statusCode, 404)
    t.equal((await other.call(`GET ${path}/${id}/history`)).statusCode, 404)
    t.same((await other.call(`GET ${path}?id=${id}`)).json().data, [])
    t.equal((await call(`GET ${path}/${id}`)).json().version, 1, 'it is unchanged')
  })

  await t.test('can be restored after deletion', async t => {
    const { id } = await create()
    await call(`DELETE ${path}/${id}`)
    const [trashed] = (await call(`GET ${path}?deleted=true&id=${id}`)).json().data
    t.match(trashed, { id, version: 2, deleted_at: /^20.*Z$/ })
    const restored = await call(`POST ${path}/${id}/restore`)
    t.match([restored.statusCode, restored.json()], [200, { id, version: 3, deleted_at: null }])
    t.match((await call(`GET ${path}/${id}`)).json(), { id, version: 3 })
    t.match(
      (await call(`POST ${path}/${id}/restore`)).json(),
      { version: 3 },
      'restoring a record that is not deleted changes nothing'
    )
    t.equal((await call(`POST ${path}/999999999/restore`)).statusCode, 404)
  })

  await t.test('has a complete history', async t => {
    const { id } = await create()
    await call(`PATCH ${path}/${id}`, change)
    await call(`DELETE ${path}/${id}`)
    await call(`POST ${path}/${id}/restore`)
    const { data, has_more } = (await call(`GET ${path}/${id}/history`)).json()
    t.same(
      data.map(({ type }: { type: string }) => type.split('.')[1]),
      ['restored', 'deleted', 'updated', 'created']
    )
    t.equal(has_more, false)
    t.notMatch(JSON.stringify(data), /argon2|organization_id/, 'it has no secrets')
    t.match(data[0].after, { id, version: 4, deleted_at: null })
    const current = Object.entries<unknown>((await call(`GET ${path}/${id}`)).json())
    t.same(
      data[0].after,
      Object.fromEntries(current.filter(([field]) => !derived.includes(field))),
      'the newest event has the current record'
    )
    const first = (await call(`GET ${path}/${id}/history?limit=3`)).json()
    const second = (
      await call(`GET ${path}/${id}/history?limit=3&cursor=${first.next_cursor}`)
    ).json()
    t.same([...first.data, ...second.data], data, 'the pages add up to the whole')
  })

  await t.test('twelve concurrent writers with If-Match lose no update', async t => {
    const { id } = await create()
    const [field] = Object.keys(change) as [string]
    const write = async (writer: number) => {
      let done = 0
      for (let attempts = 0; done < 5 && attempts < 500; attempts++) {
        const { version } = (await call(`GET ${path}/${id}`)).json()
        const answer = await call(
          `PATCH ${path}/${id}`,
          { [field]: turns ? turns[version % turns.length] : `${writer}-${done}` },
          { 'if-match': `"${version}"` }
        )
        if (answer.statusCode === 200) done++
      }
      return done
    }
    const done = await Promise.all(Array.from({ length: 12 }, (_, i) => write(i)))
    t.same(
      done,
      Array.from({ length: 12 }, () => 5)
    )
    t.equal((await call(`GET ${path}/${id}`)).json().version, 61)
  })
}
