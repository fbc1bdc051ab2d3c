import t from 'tap'
import { application, organization, type Call } from '../../support/app.ts'
import { convert, create, createLead, total } from './conversions.ts'

const app = await application(t)
const { call: admin } = await organization(app)

const leadOf = async (call: Call, company: string) =>
  await createLead(call, { first_name: 'A', last_name: company.slice(0, 50), company })

/** The statuses of requests that are made at the same time, in ascending order. */
const statusesOf = async (requests: ReturnType<Call>[]) =>
  (await Promise.all(requests)).map(({ statusCode }) => statusCode).toSorted((a, b) => a - b)

t.test('leads of one new company that are converted at once make one account', async t => {
  const { call } = await organization(app)
  for (const companies of [
    ['Nova', 'Nova'],
    ['Café Ångström GmbH', 'CAFÉ ÅNGSTRÖM GMBH'],
    ['Zenith Widgets Ltd', 'zenith  widgets ltd.'],
    ['Ёлка и Ко', 'ЕЛКА И КО'],
    Array.from({ length: 20 }, (_, i) => `Twenty${' '.repeat(i + 1)}Ltd${'.'.repeat(i % 3)}`)
  ]) {
    const before = await total(call, 'accounts')
    const leads = await Promise.all(companies.map(async name => await leadOf(call, name)))
    const statuses = await statusesOf(
      leads.map(async ({ id }) => await call(`POST /api/leads/${id}/conversion`, {}))
    )
    t.same(
      statuses,
      leads.map(() => 201),
      companies.join()
    )
    t.equal(await total(call, 'accounts'), before + 1, companies.join())
  }
})

t.test('leads that are converted at once into one new person make one contact', async t => {
  const { call } = await organization(app)
  const people = [
    [
      { first_name: 'Ada', last_name: 'Byron', email: 'ada@example.com' },
      { first_name: 'A.', last_name: 'Lovelace', email: 'ADA@Example.com' }
    ],
    [
      { first_name: 'Zoë', last_name: 'Quux', company: 'Nova' },
      { first_name: 'ZOE', last_name: 'Quux\u00A0', company: 'nova.' }
    ]
  ]
  for (const [first, second] of people) {
    const before = await total(call, 'contacts')
    const leads = [await create(call, 'leads', {}), await create(call, 'leads', {})]
    const statuses = await statusesOf(
      leads.map(
        async ({ id }, i) =>
          await call(`POST /api/leads/${id}/conversion`, {
            account: null,
            contact: i === 0 ? first : second
          })
      )
    )
    t.same(statuses, [201, 409], 'the second one is told of the first')
    t.equal(await total(call, 'contacts'), before + 1)
  }
})

t.test('of leads converted at once into one new account by request, one is', async t => {
  const { call } = await organization(app)
  for (const [first, second] of [
    [{ name: 'Orion' }, { name: 'ORION!' }],
    [
      { name: 'One', website: 'https://www.orion.example/a' },
      { name: 'Two', website: 'Orion.example' }
    ]
  ]) {
    const leads = [await create(call, 'leads', {}), await create(call, 'leads', {})]
    const statuses = await statusesOf(
      leads.map(
        async ({ id }, i) =>
          await call(`POST /api/leads/${id}/conversion`, { account: i === 0 ? first : second })
      )
    )
    t.same(statuses, [201, 409])
  }
})

t.test('conversions and undos of leads of one company, twenty at once', async t => {
  const { call } = await organization(app)
  const leads = await Promise.all(
    Array.from({ length: 10 }, async () => await leadOf(call, 'Back And Forth'))
  )
  for (let round = 0; round < 3; round++) {
    await statusesOf(
      leads.map(async ({ id }) => await call(`POST /api/leads/${id}/conversion`, {}))
    )
    const answers = await Promise.all(
      leads.flatMap(({ id }) => [
        call(`DELETE /api/leads/${id}/conversion`),
        call(`POST /api/leads/${id}/conversion`, {})
      ])
    )
    for (const { statusCode, body } of answers)
      t.ok([200, 201].includes(statusCode), body.slice(0, 200))
    const converted = await Promise.all(
      leads.map(async ({ id }) => await call(`GET /api/leads/${id}/conversion`))
    )
    for (const answer of converted.filter(({ statusCode }) => statusCode === 200))
      t.match(
        answer.json(),
        { account: { name: 'Back And Forth' }, opportunity: {} },
        'no conversion has an account that another undo deleted'
      )
  }
  t.ok((await total(call, 'accounts')) <= 1)
})

t.test('an undo does not delete the account that another conversion has just found', async t => {
  const { call } = await organization(app)
  for (let round = 0; round < 15; round++) {
    const company = `Round ${round}`
    const first = await leadOf(call, company)
    const second = await leadOf(call, company)
    await convert(call, first)
    const [undone, converted] = await Promise.all([
      call(`DELETE /api/leads/${first.id}/conversion`),
      call(`POST /api/leads/${second.id}/conversion`, {})
    ])
    t.same([undone.statusCode, converted.statusCode], [200, 201], converted.body.slice(0, 200))
    t.match((await call(`GET /api/leads/${second.id}/conversion`)).json(), {
      account: { name: company },
      contact: { account_id: converted.json().account.id }
    })
  }
})

t.test('a company that is renamed while its conversion waits is the new one', async t => {
  const { call, id } = await organization(app)
  const lead = await leadOf(call, 'Old Name')
  const { pool } = app.services.database
  const { converting } = await pool.begin(async sql => {
    await sql`select pg_advisory_xact_lock(
      hashtextextended('creation/account name old name', ${id}))`
    const converting = call(`POST /api/leads/${lead.id}/conversion`, {})
    for (;;) {
      const waiting = await pool`select from pg_stat_activity
        where datname = current_database() and wait_event = 'advisory'`
      if (waiting.length > 0) break
    }
    await call(`PATCH /api/contacts/${String(lead.contact_id)}`, { company: 'New Name' })
    return { converting }
  })
  t.match((await converting).json(), {
    account: { name: 'New Name' },
    created: ['account', 'opportunity']
  })
  t.equal(await total(call, 'accounts'), 1)
})

t.test('the account of a company is found in any spelling', async t => {
  for (const [name, ...others] of [
    [
      'Zenith Widgets Ltd',
      'Zenith  Widgets Ltd',
      'Zenith\u00A0Widgets Ltd',
      'ZENITH WIDGETS LTD.',
      'zenith\u3000widgets\u2009ltd ,',
      'Zenith\u200B Widgets\tLtd',
      '\u202AZenith Widgets Ltd\u202C',
      'Ｚｅｎｉｔｈ Widgets Ltd'
    ],
    ['Crème Brûlée SA', 'Cre\u0300me Bru\u0302le\u0301e SA', 'CREME BRULEE SA!'],
    ['L\u2019Aquila', "L'Aquila", "l'aquila..."],
    ['ΠΑΠΑΔΟΠΟΥΛΟΣ', 'Παπαδόπουλος', 'παπαδοπουλος'],
    ['Großhandel Weiß', 'GROSSHANDEL WEISS'],
    ['北京字节跳动科技有限公司', '北京字节跳动科技有限公司。'],
    ['Łódź Øl & Æbler', 'LODZ OL & AEBLER']
  ] as [string, ...string[]][]) {
    const account = await create(admin, 'accounts', { name })
    for (const other of others) {
      const { created, account: found } = await convert(admin, await leadOf(admin, other))
      t.same([found.id, created], [account.id, ['opportunity']], other)
    }
  }
})

t.test('other companies are not the same', async t => {
  const { call } = await organization(app)
  for (const name of [
    'Canal',
    'Canal+',
    'C',
    'C++',
    'Zenith Ltd',
    'Zenith',
    'AT&T',
    'ATT',
    '王',
    '玉'
  ])
    t.same(
      (await convert(call, await leadOf(call, name))).created,
      ['account', 'opportunity'],
      name
    )
})

t.test('a company that says that there is none makes no account', async t => {
  const { call } = await organization(app)
  t.match(
    await convert(call, await create(call, 'leads', {}), {
      contact: { first_name: 'A', last_name: 'Null', company: 'n/a' }
    }),
    { account: null, created: ['contact', 'opportunity'] }
  )
  for (const company of ['n/a', 'N.A.', '-', 'none', 'Unknown', 'TBA', 'null', '...'])
    t.same((await convert(call, await leadOf(call, company))).created, ['opportunity'], company)
})

t.test('websites', async t => {
  const { call } = await organization(app)
  let number = 0
  /** Whether a new account with the second website is refused because of the first. */
  async function areSame(first: string, second: string): Promise<boolean> {
    await create(call, 'accounts', { name: `First ${++number}`, website: first })
    const { id } = await create(call, 'leads', {})
    const answer = await call(`POST /api/leads/${id}/conversion`, {
      account: { name: `Second ${number}`, website: second },
      opportunity: null
    })
    if (answer.statusCode === 201) return false
    t.match(answer.json(), { code: 'likely_duplicate', matches: [{ by: ['website'] }] })
    return true
  }

  await t.test('of one host are the same', async t => {
    for (const [first, second] of [
      ['https://www.acme.example/about?x=1#y', 'ACME.example'],
      ['http://one.example:8080', '//one.example/'],
      ['two.example.', 'https://user:secret@WWW.two.example'],
      ['https://müller.example', 'http://xn--mller-kva.example/'],
      ['xn--bcher-kva.example', 'www.Bücher.example'],
      ['bu\u0308ro.example', 'büro.example'],
      ['three.co.uk', 'https://three.co.uk/shop']
    ] as const)
      t.equal(await areSame(first, second), true, `${first} ${second}`)
  })

  await t.test('of different hosts are not', async t => {
    for (const [first, second] of [
      ['https://four.example', 'https://four.example.evil.example'],
      ['https://five.example', 'https://notfive.example'],
      ['https://six.co.uk', 'https://seven.co.uk']
    ] as const)
      t.equal(await areSame(first, second), false, `${first} ${second}`)
  })

  await t.test('on a shared host are not', async t => {
    for (const [first, second] of [
      ['https://www.facebook.com/shopone', 'https://www.facebook.com/another-shop'],
      ['https://de-de.facebook.com/a', 'facebook.com/b'],
      ['linkedin.com/company/a', 'https://de.linkedin.com/company/b'],
      ['https://instagram.com/a', 'https://www.instagram.com/b'],
      ['https://x.com/a', 'https://x.com/b'],
      ['https://acme.wixsite.com/one', 'https://acme.wixsite.com/two'],
      ['https://sites.google.com/view/a', 'https://sites.google.com/view/b'],
      ['https://shop.blogspot.co.uk', 'https://shop.blogspot.co.uk/2'],
      ['https://linktr.ee/a', 'https://linktr.ee/b'],
      ['https://medium.com/@a', 'https://medium.com/@b'],
      ['https://a.notion.site/1', 'https://a.notion.site/2'],
      ['https://a.github.io/1', 'https://a.github.io/2'],
      ['https://www.amazon.de/a', 'https://www.amazon.de/b'],
      ['first@gmail.com', 'second@gmail.com']
    ] as const)
      t.equal(await areSame(first, second), false, `${first} ${second}`)
  })

  await t.test('that say that there is none are not', async t => {
    for (const website of [
      'n/a',
      'N/A',
      'n.a.',
      'none',
      '-',
      'unknown',
      'tba',
      'null',
      '127.0.0.1',
      'http://'
    ])
      t.equal(await areSame(website, website), false, website)
  })
})
