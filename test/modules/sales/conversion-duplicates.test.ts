import t from 'tap'
import { application, organization } from '../../support/app.ts'
import { person, create, createLead, get, totals, lenient } from './conversions.ts'

const app = await application(t)
const statuses = (answers: { statusCode: number }[]) =>
  answers.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b)

t.test('likely duplicates', async t => {
  const { call } = await organization(app)
  const contact = await create(call, 'contacts', person)
  const account = await create(call, 'accounts', {
    name: 'Straße & Café',
    website: 'https://www.Example.com/about'
  })
  await create(call, 'accounts', {
    name: 'Straße & Café Holding',
    website: 'https://example.com.evil.org'
  })
  await create(call, 'contacts', {
    ...person,
    email: 'xzoe.mueller@example.com',
    company: 'Müller & Söhne AG'
  })
  const lead = await createLead(call, null)
  const before = await totals(call)
  const convert = async (body: object, headers = {}) =>
    await call(
      `POST /api/leads/${lead.id}/conversion`,
      { account: null, contact: null, opportunity: null, ...body },
      headers
    )
  const refused = (matches: object[]) => ({ status: 409, code: 'likely_duplicate', matches })

  await t.test('are a 409 with the matches, and nothing is written', async t => {
    for (const [body, matches] of [
      [
        { contact: { first_name: 'Z', last_name: 'M', email: 'ZOE.mueller@EXAMPLE.com' } },
        [{ type: 'contact', id: contact.id, name: 'Zoë Müller', by: ['email'] }]
      ],
      [
        { contact: { first_name: 'ZOE', last_name: 'muller', company: 'Muller & Sohne' } },
        [{ type: 'contact', id: contact.id, by: ['first_name', 'last_name', 'company'] }]
      ],
      [
        { contact: person },
        [{ id: contact.id, by: ['email', 'first_name', 'last_name', 'company'] }]
      ],
      [
        { account: { name: 'STRASSE & cafe' } },
        [{ type: 'account', id: account.id, name: 'Straße & Café', by: ['name'] }]
      ],
      [
        { account: { name: 'Other', website: 'example.com' } },
        [{ type: 'account', id: account.id, by: ['website'] }]
      ],
      [
        { account: { name: 'Other', website: 'http://EXAMPLE.com:8080/x' }, contact: person },
        [
          { type: 'account', id: account.id },
          { type: 'contact', id: contact.id }
        ]
      ]
    ] as [object, object[]][]) {
      const answer = (await convert(body)).json()
      t.match(answer, refused(matches), JSON.stringify(body))
      t.equal(answer.matches.length, matches.length)
    }
    t.same(await totals(call), before)
    t.same(await get(call, `leads/${lead.id}`), lead)
  })

  await t.test("of the contact's company are a conflict only if there are several", async t => {
    for (let i = 0; i < 2; i++) await create(call, 'accounts', { name: 'Twins' })
    const { id } = await createLead(call, { first_name: 'T', last_name: 'T', company: 'twins' })
    t.match((await call(`POST /api/leads/${id}/conversion`, {})).json(), {
      status: 409,
      matches: [{ by: ['name'] }, { by: ['name'] }]
    })
    t.match((await call(`POST /api/leads/${id}/conversion`, {}, lenient)).json(), {
      account: { name: 'twins' },
      created: ['account', 'opportunity']
    })
  })

  await t.test('are accepted by handling=lenient', async t => {
    t.equal((await convert({ contact: person }, { prefer: 'handling=strict' })).statusCode, 409)
    const answer = await convert({ contact: person }, { prefer: 'respond-async, handling=lenient' })
    t.match(
      [answer.statusCode, answer.headers['preference-applied'], answer.json().created],
      [201, 'handling=lenient', ['contact']]
    )
    const near = await create(call, 'leads', {})
    t.equal(
      (
        await call(`POST /api/leads/${near.id}/conversion`, {
          contact: { first_name: 'Zoë', last_name: 'Müller', company: 'Müller' },
          opportunity: null
        })
      ).statusCode,
      201,
      'similar names are not duplicates'
    )
  })
})

t.test('converting twice', async t => {
  const { call } = await organization(app)

  await t.test('returns the first result, whatever is requested', async t => {
    const lead = await createLead(call)
    const first = (await call(`POST /api/leads/${lead.id}/conversion`, {})).json()
    const again = await call(`POST /api/leads/${lead.id}/conversion`, {
      account: { name: 'Another' },
      contact: null,
      opportunity: { title: 'Another' }
    })
    t.same([again.statusCode, again.json()], [200, first])
    t.match((await call(`PATCH /api/leads/${lead.id}`, { status: 'new' })).json(), {
      status: 409,
      code: 'impossible_move',
      allowed: []
    })
    t.match((await call(`POST /api/leads/${lead.id}/qualification`, {})).json(), {
      status: 409,
      allowed: [],
      errors: [{ pointer: '/outcome' }]
    })
    t.equal(
      (await call(`PATCH /api/leads/${lead.id}`, { status: 'converted', source: 'form' }))
        .statusCode,
      200,
      'a stale form of a converted lead is accepted'
    )
  })

  await t.test(
    'with a stale If-Match is refused, unless the lead is converted already',
    async t => {
      const lead = await createLead(call, { ...person, company: 'Stale Ltd' })
      const before = await totals(call)
      const ask = async (method: string, version: number) =>
        await call(
          `${method} /api/leads/${lead.id}/conversion`,
          method === 'POST' ? {} : undefined,
          {
            'if-match': `"${version}"`
          }
        )
      const refused = await ask('POST', 9)
      t.match(
        [refused.statusCode, refused.json().code, refused.headers.etag],
        [412, 'stale', '"1"']
      )
      t.same(await totals(call), before)
      t.same(await get(call, `leads/${lead.id}`), lead)
      t.equal((await ask('DELETE', 9)).statusCode, 404, 'there is nothing to undo')

      const first = await ask('POST', 1)
      t.match([first.statusCode, first.headers.etag, first.json().lead.version], [201, '"2"', 2])
      const retried = await ask('POST', 1)
      t.match(
        [retried.statusCode, retried.headers.etag, retried.json()],
        [200, '"2"', first.json()],
        'a client without a response gets the result when it asks again'
      )

      const kept = await ask('DELETE', 1)
      t.match([kept.statusCode, kept.headers.etag], [412, '"2"'])
      t.same((await call(`GET /api/leads/${lead.id}/conversion`)).json(), first.json())
      const undone = await ask('DELETE', 2)
      t.match([undone.statusCode, undone.headers.etag, undone.json().lead.version], [200, '"3"', 3])
      t.equal((await ask('DELETE', 2)).statusCode, 404)
      const twenty = await Promise.all(Array.from({ length: 20 }, async () => await ask('POST', 3)))
      t.same(statuses(twenty), [...Array.from({ length: 19 }, () => 200), 201])
      t.equal(
        (await call(`POST /api/leads/${lead.id}/conversion`, {}, { 'if-match': '2' })).statusCode,
        400
      )
    }
  )

  await t.test('twenty times concurrently creates one conversion', async t => {
    const lead = await createLead(call, { ...person, company: 'Twenty Ltd' })
    const before = await totals(call)
    const answers = await Promise.all(
      Array.from(
        { length: 20 },
        async () => await call(`POST /api/leads/${lead.id}/conversion`, {})
      )
    )
    t.same(statuses(answers), [...Array.from({ length: 19 }, () => 200), 201])
    t.equal(new Set(answers.map(({ body }) => body)).size, 1, 'all responses are the same')
    t.same(
      await totals(call),
      before.map((count, i) => count + (i >= 2 ? 1 : 0)),
      'one more account and opportunity'
    )
  })

  await t.test(
    'twenty leads into the same account and contact lose nothing and do not deadlock',
    async t => {
      const account = await create(call, 'accounts', { name: 'Common' })
      const contact = await create(call, 'contacts', { first_name: 'C', last_name: 'C' })
      const ids = await Promise.all(
        Array.from({ length: 20 }, async () => (await create(call, 'leads', {})).id)
      )
      const fields = [
        'industry',
        'website',
        'phone',
        'address',
        'city',
        'state',
        'country',
        'postal_code'
      ]
      const answers = await Promise.all(
        ids.map(
          async (id, i) =>
            await call(`POST /api/leads/${id}/conversion`, {
              account: { id: account.id, [fields[i % 8]!]: `by ${id}` },
              contact: { id: contact.id, position: `by ${id}` }
            })
        )
      )
      t.same(
        statuses(answers),
        Array.from({ length: 20 }, () => 201)
      )
      const filled = answers.flatMap(
        answer => answer.json<{ filled: { account: string[] } }>().filled.account
      )
      t.same(filled.toSorted(), fields.toSorted(), 'each field was filled once')
      t.equal((await get(call, `accounts/${account.id}`)).version, 9)
      t.equal((await get(call, `contacts/${contact.id}`)).version, 2)
    }
  )
})
