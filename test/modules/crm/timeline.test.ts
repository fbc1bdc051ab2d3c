import t, { type Test } from 'tap'
import { application, type Call, organization, ownerOf } from '../../support/app.ts'
import { plansOf } from '../../support/plans.ts'
import { type Entry, create } from './timeline.ts'

const app = await application(t)
const sql = app.services.database.pool
/** All entries, page by page; `between` runs after each page. */
async function allEntries(
  call: Call,
  url: string,
  limit: number,
  between?: () => Promise<void>,
  more = ''
): Promise<Entry[]> {
  const entries: Entry[] = []
  for (let next: string | undefined = `${url}?limit=${limit}${more}`; next !== undefined;) {
    const answer = await call(`GET ${next}`)
    const { data, has_more, next_cursor } = answer.json()
    entries.push(...data)
    next = /<(.*)>; rel="next"/.exec(String(answer.headers.link))?.[1]
    if (has_more !== (next !== undefined) || has_more !== (next_cursor !== null))
      throw new Error('has_more, next_cursor and Link disagree')
    if (has_more && data.length < limit) throw new Error('a short page is the last one')
    await between?.()
  }
  return entries
}
const idsOf = (entries: Entry[]) => entries.map(({ id }) => id)
function inOrder(t: Test, entries: Entry[]) {
  for (const [i, { at, id }] of entries.entries())
    if (i > 0 && at > entries[i - 1]!.at)
      t.fail(`${id} is newer than ${entries[i - 1]!.id} before it`)
}
/** Numbers below `n` that look random and are the same each time. */
function random(seed: number) {
  let state = seed
  return (n: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return Math.floor((state / 2_147_483_648) * n)
  }
}

t.test('the timeline of a contact with random events', async t => {
  const { call, id: organization_id } = await organization(app)
  const dice = random(7)
  const { id } = await create(call, 'POST /api/contacts', { first_name: 'John', last_name: 'Doe' })
  const other = await create(call, 'POST /api/contacts', { first_name: 'Jane', last_name: 'Roe' })
  const links = [
    { type: 'contact', id },
    { type: 'contact', id: other.id }
  ]
  const past = () => new Date(Date.now() - dice(1_000_000_000)).toISOString()
  const expected = new Set<string>()
  const events = [
    async () => {
      await create(call, `PATCH /api/contacts/${id}`, { last_name: `Doe ${dice(1_000_000_000)}` })
    },
    async () => {
      const body = {
        type: 'call',
        subject: 'A call',
        completed_at: past(),
        links: links.slice(0, 1 + dice(2))
      }
      expected.add(`activity ${(await create(call, 'POST /api/activities', body)).id}`)
    },
    async () => {
      const body = { type: 'task', subject: 'To do', links }
      expected.add(`activity ${(await create(call, 'POST /api/activities', body)).id}`)
    },
    async () => {
      expected.add(`lead ${(await create(call, 'POST /api/leads', { contact_id: id })).id}`)
    },
    async () => {
      const lead = await create(call, 'POST /api/leads', { contact_id: id })
      const sale = await create(call, 'POST /api/opportunities', {
        title: 'Sale',
        lead_id: lead.id
      })
      expected.add(`lead ${lead.id}`).add(`opportunity ${sale.id}`)
    },
    async () => {
      // as an import leaves them: older than what has a lower number, and several at the same time
      const rows = await sql<
        { id: number }[]
      >`insert into leads (organization_id, contact_id, created_at)
        select ${organization_id}, ${id}, ${past()}::timestamptz from generate_series(1, 3)
        returning id`
      for (const row of rows) expected.add(`lead ${row.id}`)
    },
    async () => {
      const campaign = await create(call, 'POST /api/campaigns', { name: `Campaign ${dice(1000)}` })
      await create(call, 'POST /api/campaign-members', { campaign_id: campaign.id, contact_id: id })
      expected.add(`campaign ${campaign.id}`)
    }
  ]
  const something = async () => {
    await events[dice(events.length)]!()
  }
  for (let i = 0; i < 200; i++) await something()
  const changes = async () =>
    (
      await sql<{ id: number }[]>`select id from events where organization_id = ${organization_id}
        and subject_type = 'contact' and subject_id = ${id}`
    ).map(({ id }) => `change ${id}`)
  for (const change of await changes()) expected.add(change)
  t.ok(expected.size > 200, `${expected.size} entries`)
  const url = `/api/contacts/${id}/timeline`
  const sorted = (ids: Iterable<string>) => [...ids].toSorted()

  await t.test('is complete, without repetition and in order, whatever the page size', async t => {
    for (const limit of [7, 1, 64, 200]) {
      const entries = await allEntries(call, url, limit)
      t.same(sorted(idsOf(entries)), sorted(expected), `limit=${limit}`)
      inOrder(t, entries)
    }
  })

  await t.test('can be limited to kinds', async t => {
    for (const requested of [
      ['link'],
      ['activity', 'change'],
      ['change', 'link', 'activity'],
      ['link', 'link']
    ]) {
      const entries = await allEntries(call, url, 7, undefined, `&kind=${requested.join()}`)
      const kindOf = (id: string) => /^(activity|change) /.exec(id)?.[1] ?? 'link'
      t.same(
        sorted(idsOf(entries)),
        sorted([...expected].filter(id => requested.includes(kindOf(id)))),
        requested.join()
      )
      inOrder(t, entries)
    }
  })

  await t.test('is stable while entries are added', async t => {
    const before = new Set(expected)
    const entries = await allEntries(call, url, 7, something)
    const seen = idsOf(entries)
    t.equal(new Set(seen).size, seen.length, 'no entry is repeated')
    t.same(sorted(seen.filter(id => before.has(id))), sorted(before), 'no entry is missing')
    inOrder(t, entries)
  })

  await t.test('has nothing of other organizations', async t => {
    const theirs = await allEntries(call, `/api/contacts/${other.id}/timeline`, 50)
    t.ok(
      theirs.length > 20 && theirs.every(({ kind, activity }) => kind === 'change' || activity),
      'the other contact has the shared entries'
    )
    t.equal(theirs.filter(({ kind }) => kind === 'change').length, 1)
  })
})

t.test('a timeline requires the permission to read its record', async t => {
  const { call, user } = await organization(app)
  const outsider = await organization(app)
  const viewer = await user('viewer')
  for (const [path, body, change] of [
    ['contacts', { first_name: 'A', last_name: 'B' }, { last_name: 'C' }],
    ['leads', {}, { source: 'fair' }],
    ['accounts', { name: 'A' }, { name: 'B' }],
    ['opportunities', { title: 'A' }, { title: 'B' }]
  ] as const) {
    const { id } = await create(call, `POST /api/${path}`, body)
    const other = await create(call, `POST /api/${path}`, body)
    await create(call, `PATCH /api/${path}/${id}`, change)
    const url = `/api/${path}/${id}/timeline`
    const page = (await call(`GET ${url}?limit=1`)).json()
    t.match(page, { data: [{ kind: 'change' }], has_more: true, next_cursor: String })
    t.equal((await viewer.call(`GET ${url}`)).json().data.length, 2)
    t.equal((await outsider.call(`GET ${url}`)).statusCode, 404, path)
    t.equal((await call(`GET /api/${path}/999999/timeline`)).statusCode, 404)
    for (const [query, parameter] of [
      ['limit=0', 'limit'],
      ['limit=201', 'limit'],
      ['sort=at', 'sort'],
      ['kind=dance', 'kind'],
      ['kind=', 'kind'],
      ['kind=link&cursor=' + page.next_cursor, 'cursor'],
      ['cursor=WzFd.AAAAAAAAAAAAAAAA', 'cursor'],
      [`cursor=${page.next_cursor}x`, 'cursor']
    ] as const) {
      t.match(
        (await call(`GET ${url}?${query}`)).json(),
        { status: 400, errors: [{ parameter }] },
        query
      )
    }
    t.equal(
      (await call(`GET /api/${path}/${other.id}/timeline?cursor=${page.next_cursor}`)).statusCode,
      400,
      'a cursor belongs to its timeline'
    )
    t.equal((await call(`GET ${url}?limit=50&cursor=${page.next_cursor}`)).json().data.length, 1)
  }
})

t.test('on thousands of rows, all its statements use an index', async t => {
  const { call, id: organization_id, admin } = await organization(app)
  const many = 5000
  await sql.begin(async sql => {
    await sql`set local statement_timeout = '120s'`
    const first = async (table: string) =>
      (
        await sql<
          { id: number }[]
        >`select min(id) as id from ${sql(table)} where organization_id = ${organization_id}`
      )[0]!.id
    await sql`insert into users (organization_id, username, email, password_hash)
      select ${organization_id}, 'many' || n, 'many' || n || '@example.com', 'x'
      from generate_series(1, ${many}::int) n`
    await sql`insert into tags (organization_id, name) select ${organization_id}, 'Tag ' || n
      from generate_series(1, ${many}::int) n`
    await sql`insert into pipelines (organization_id, name)
      select ${organization_id}, 'Pipeline ' || n from generate_series(1, ${many}::int) n`
    await sql`insert into stages (organization_id, pipeline_id, key, name, probability)
      select ${organization_id}, id, 'first', 'First', 10 from pipelines
      where organization_id = ${organization_id} and not is_default`
    await sql`insert into accounts (organization_id, name, parent_account_id)
      select ${organization_id}, 'Account ' || n, null from generate_series(1, ${many}::int) n`
    await sql`insert into contacts (organization_id, first_name, last_name, account_id)
      select ${organization_id}, 'First', 'Last' || n, ${await first('accounts')} + n / 10
      from generate_series(1, ${many}::int) n`
    await sql`insert into leads (organization_id, source, contact_id)
      select ${organization_id}, 'website', ${await first('contacts')} + n / 4
      from generate_series(1, ${many}::int) n`
    await sql`insert into opportunities (organization_id, pipeline_id, title, lead_id, account_id)
      select ${organization_id}, (select id from pipelines
      where organization_id = ${organization_id} and is_default), 'Sale ' || n,
      ${await first('leads')} + n / 4, ${await first('accounts')} + n / 10
      from generate_series(1, ${many}::int) n`
    await sql`insert into campaigns (organization_id, name)
      select ${organization_id}, 'Campaign ' || n from generate_series(1, ${many}::int) n`
    await sql`insert into campaign_members (organization_id, campaign_id, contact_id)
      select ${organization_id}, ${await first('campaigns')} + n, ${await first('contacts')} + n
      from generate_series(1, ${many}::int - 1) n`
    await sql`insert into campaign_members (organization_id, campaign_id, lead_id)
      select ${organization_id}, ${await first('campaigns')} + n, ${await first('leads')} + n
      from generate_series(1, ${many}::int - 1) n`
    await sql`insert into activities (organization_id, type, subject, links)
      select ${organization_id}, 'call', 'Call ' || n, jsonb_build_array(
        jsonb_build_object('type', 'contact', 'id', ${await first('contacts')} + n % 1000),
        jsonb_build_object('type', 'lead', 'id', ${await first('leads')} + n % 1000),
        jsonb_build_object('type', 'account', 'id', ${await first('accounts')} + n % 1000),
        jsonb_build_object('type', 'opportunity', 'id', ${await first('opportunities')} + n % 1000))
      from generate_series(1, ${many}::int) n`
  })
  await ownerOf(app)`vacuum analyze`
  const one = async (resource: string, query = '') =>
    (await call(`GET /api/${resource}?sort=id&limit=1${query}`)).json().data[0].id as number
  const subjects = {
    contacts: await one('contacts'),
    leads: await one('leads'),
    accounts: await one('accounts'),
    opportunities: await one('opportunities')
  }
  await create(call, `PATCH /api/contacts/${subjects.contacts}`, {
    tags: [await one('tags')],
    account_id: null
  })
  await create(call, `PATCH /api/leads/${subjects.leads}`, { assigned_to: admin.user.id })
  await create(call, `PATCH /api/opportunities/${subjects.opportunities}`, { stage: 'proposal' })
  await create(call, `PATCH /api/accounts/${subjects.accounts}`, {
    parent_account_id: subjects.accounts + 1
  })

  for (const [resource, id] of Object.entries(subjects)) {
    const url = `/api/${resource}/${id}/timeline?limit=3`
    const { next_cursor } = (await call(`GET ${url}`)).json()
    for (const requested of [url, `${url}&cursor=${next_cursor}`]) {
      for (const connection of [app.services.database.lists, app.services.database.point]) {
        const plans = await plansOf(app, async () => await call(`GET ${requested}`), [connection])
        t.ok(plans.length > 0, requested)
        for (const plan of plans) t.notMatch(plan, /Seq Scan/, requested)
      }
    }
  }
})
