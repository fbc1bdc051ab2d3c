import t, { type Test } from 'tap'
import { application, organization, type Call } from '../../support/app.ts'
import { plansOf } from '../../support/plans.ts'

interface Change {
  field: string
  from: unknown
  to: unknown
  from_text: string | null
  to_text: string | null
}
interface Entry {
  id: string
  at: string
  kind: string
  title: string
  actor: { id: number; username: string } | null
  activity?: { id: number; subject: string }
  assigned_to?: object | null
  changes?: Change[]
  links?: { type: string; id: number; name: string }[]
}
const app = await application(t)
const sql = app.services.database.pool

/** All entries, page by page; `between` happens after each page. */
async function walk(
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
    if (has_more && data.length < limit) throw new Error('a page is not full, and there are more')
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

const made = async (call: Call, request: string, body: object) => {
  const answer = await call(request, body)
  if (answer.statusCode >= 300) throw new Error(`${request}: ${answer.body}`)
  return answer.json() as { id: number }
}

t.test('the timeline of a contact with random events', async t => {
  const { call, id: organization_id } = await organization(app)
  const dice = random(7)
  const { id } = await made(call, 'POST /api/contacts', { first_name: 'John', last_name: 'Doe' })
  const other = await made(call, 'POST /api/contacts', { first_name: 'Jane', last_name: 'Roe' })
  const links = [
    { type: 'contact', id },
    { type: 'contact', id: other.id }
  ]
  const past = () => new Date(Date.now() - dice(1_000_000_000)).toISOString()
  const expected = new Set<string>()
  const happens = [
    async () => {
      await made(call, `PATCH /api/contacts/${id}`, { last_name: `Doe ${dice(1_000_000_000)}` })
    },
    async () => {
      expected.add(
        'activity ' +
          `${(await made(call, 'POST /api/activities', { type: 'call', subject: 'A call', completed_at: past(), links: links.slice(0, 1 + dice(2)) })).id}`
      )
    },
    async () => {
      expected.add(
        'activity ' +
          `${(await made(call, 'POST /api/activities', { type: 'task', subject: 'To do', links })).id}`
      )
    },
    async () => {
      expected.add(`lead ${(await made(call, 'POST /api/leads', { contact_id: id })).id}`)
    },
    async () => {
      const lead = await made(call, 'POST /api/leads', { contact_id: id })
      const sale = await made(call, 'POST /api/opportunities', { title: 'Sale', lead_id: lead.id })
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
      const campaign = await made(call, 'POST /api/campaigns', { name: `Campaign ${dice(1000)}` })
      await made(call, 'POST /api/campaign-members', { campaign_id: campaign.id, contact_id: id })
      expected.add(`campaign ${campaign.id}`)
    }
  ]
  const something = async () => {
    await happens[dice(happens.length)]!()
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
      const entries = await walk(call, url, limit)
      t.same(sorted(idsOf(entries)), sorted(expected), `limit=${limit}`)
      inOrder(t, entries)
    }
  })

  await t.test('can be limited to kinds', async t => {
    for (const asked of [
      ['link'],
      ['activity', 'change'],
      ['change', 'link', 'activity'],
      ['link', 'link']
    ]) {
      const entries = await walk(call, url, 7, undefined, `&kind=${asked.join()}`)
      const kindOf = (id: string) => /^(activity|change) /.exec(id)?.[1] ?? 'link'
      t.same(
        sorted(idsOf(entries)),
        sorted([...expected].filter(id => asked.includes(kindOf(id)))),
        asked.join()
      )
      inOrder(t, entries)
    }
  })

  await t.test('is stable while entries are added', async t => {
    const before = new Set(expected)
    const entries = await walk(call, url, 7, something)
    const seen = idsOf(entries)
    t.equal(new Set(seen).size, seen.length, 'nothing comes twice')
    t.same(sorted(seen.filter(id => before.has(id))), sorted(before), 'and nothing is left out')
    inOrder(t, entries)
  })

  await t.test('has nothing of other organizations', async t => {
    const theirs = await walk(call, `/api/contacts/${other.id}/timeline`, 50)
    t.ok(
      theirs.length > 20 && theirs.every(({ kind, activity }) => kind === 'change' || activity),
      'of the other contact: what they did together'
    )
    t.equal(theirs.filter(({ kind }) => kind === 'change').length, 1)
  })
})

t.test('each entry is readable without another request', async t => {
  const { call, admin, user } = await organization(app)
  const maria = await user('user')
  const corp = await made(call, 'POST /api/accounts', { name: 'Corp' })
  const branch = await made(call, 'POST /api/accounts', {
    name: 'Corp West',
    parent_account_id: corp.id
  })
  const [red, blue] = [
    await made(call, 'POST /api/tags', { name: 'red' }),
    await made(call, 'POST /api/tags', { name: 'blue' })
  ]
  const contact = await made(maria.call, 'POST /api/contacts', {
    first_name: 'John',
    last_name: 'Doe',
    account_id: corp.id,
    tags: [red.id]
  })
  const lead = await made(call, 'POST /api/leads', {
    contact_id: contact.id,
    source: 'fair',
    assigned_to: admin.user.id
  })
  const second = await made(call, 'POST /api/leads', {
    contact_id: contact.id,
    source: 'telephone'
  })
  const opportunity = await made(call, 'POST /api/opportunities', {
    title: 'Sale',
    lead_id: lead.id,
    account_id: corp.id,
    stage: 'proposal',
    assigned_to: admin.user.id
  })
  const extra = await made(call, 'POST /api/opportunities', { title: 'Extra', lead_id: second.id })
  const campaign = await made(call, 'POST /api/campaigns', { name: 'Spring' })
  await made(maria.call, 'POST /api/campaign-members', {
    campaign_id: campaign.id,
    contact_id: contact.id
  })
  await made(call, 'POST /api/campaign-members', { campaign_id: campaign.id, lead_id: lead.id })
  const links = [
    { type: 'contact', id: contact.id },
    { type: 'lead', id: lead.id },
    { type: 'account', id: corp.id },
    { type: 'opportunity', id: opportunity.id }
  ]
  const named = [
    { ...links[0], name: 'John Doe' },
    { ...links[1], name: 'John Doe, fair' },
    { ...links[2], name: 'Corp' },
    { ...links[3], name: 'Sale' }
  ]
  const activity = await made(maria.call, 'POST /api/activities', {
    type: 'call',
    subject: 'Budget',
    assigned_to: admin.user.id,
    links
  })
  const note = await made(call, 'POST /api/activities', {
    type: 'note',
    subject: 'Likes tea',
    links: links.slice(0, 1)
  })
  await made(call, `PATCH /api/contacts/${contact.id}`, { account_id: branch.id })
  await made(call, `PATCH /api/contacts/${contact.id}`, {
    tags: [blue.id, red.id],
    email: 'john@example.com',
    company: 'x'.repeat(100)
  })
  await made(maria.call, `PATCH /api/contacts/${contact.id}`, { account_id: null })
  await made(call, `PATCH /api/contacts/${contact.id}`, { company: 'y'.repeat(100) })
  await made(call, `PATCH /api/leads/${lead.id}`, { assigned_to: maria.user.id })
  await made(call, `PATCH /api/leads/${lead.id}`, { contact_id: null })
  await made(call, `PATCH /api/opportunities/${opportunity.id}`, { stage: 'negotiation' })
  await made(call, `PATCH /api/opportunities/${opportunity.id}`, {
    lead_id: null,
    assigned_to: maria.user.id,
    account_id: branch.id
  })
  await made(call, `PATCH /api/accounts/${branch.id}`, { parent_account_id: null })
  await made(call, `PATCH /api/accounts/${branch.id}`, { parent_account_id: corp.id })
  const timeline = async (path: string): Promise<Entry[]> =>
    (await call(`GET /api/${path}/timeline`)).json().data
  const titles = (entries: Entry[]) => entries.map(({ title }) => title)
  const people = {
    admin: { id: admin.user.id, username: admin.user.username },
    maria: { id: maria.user.id, username: maria.user.username }
  }

  const ofContact = await timeline(`contacts/${contact.id}`)
  t.same(
    titles(ofContact),
    [
      `Company changed from ${'x'.repeat(79)}… to ${'y'.repeat(79)}…`,
      'Account changed from Corp West to nothing',
      'Company, email, and tags changed',
      'Account changed from Corp to Corp West',
      'Note: Likes tea',
      'Call planned: Budget',
      'Added to campaign: Spring',
      'Opportunity added: Extra',
      'Lead added: John Doe, telephone',
      'Contact created'
    ],
    'a lead that points at somebody else by now is gone'
  )
  const entry = (entries: Entry[], id: string) => entries.find(one => one.id === id)!
  t.match(entry(ofContact, `activity ${activity.id}`), {
    kind: 'activity',
    actor: people.maria,
    assigned_to: people.admin,
    activity: { id: activity.id, subject: 'Budget', status: 'planned', links }
  })
  t.same(entry(ofContact, `activity ${activity.id}`).links, [
    named[0],
    { ...named[1], name: 'fair' },
    named[2],
    named[3]
  ])
  t.match(entry(ofContact, `activity ${note.id}`), { actor: people.admin, assigned_to: null })
  t.match(entry(ofContact, `campaign ${campaign.id}`), {
    kind: 'link',
    actor: people.maria,
    links: [{ type: 'campaign', id: campaign.id, name: 'Spring' }]
  })
  t.match(entry(ofContact, `lead ${second.id}`), {
    kind: 'link',
    actor: people.admin,
    links: [{ type: 'lead', id: second.id, name: 'John Doe, telephone' }]
  })
  t.match(entry(ofContact, `opportunity ${extra.id}`), {
    kind: 'link',
    links: [{ type: 'opportunity', id: extra.id, name: 'Extra' }]
  })
  t.match(ofContact[1], {
    kind: 'change',
    actor: people.maria,
    changes: [
      { field: 'account_id', from: branch.id, to: null, from_text: 'Corp West', to_text: null }
    ]
  })
  t.same(
    ofContact[2]!.changes!.find(({ field }) => field === 'tags'),
    { field: 'tags', from: [red.id], to: [blue.id, red.id], from_text: 'red', to_text: 'blue, red' }
  )
  t.match(ofContact.at(-1), {
    id: /^change/,
    kind: 'change',
    title: 'Contact created',
    actor: people.maria,
    changes: []
  })

  const ofLead = await timeline(`leads/${lead.id}`)
  t.same(titles(ofLead), [
    'Contact changed from John Doe to nothing',
    `Assigned to changed from ${admin.user.username} to ${maria.user.username}`,
    'Call planned: Budget',
    'Added to campaign: Spring',
    'Lead created'
  ])

  const ofOpportunity = await timeline(`opportunities/${opportunity.id}`)
  t.match(
    ofOpportunity[0]!.changes!.find(({ field }) => field === 'lead_id'),
    { from: lead.id, to: null, from_text: 'fair', to_text: null }
  )
  t.match(
    ofOpportunity[0]!.changes!.find(({ field }) => field === 'assigned_to'),
    { from_text: admin.user.username, to_text: maria.user.username }
  )
  t.match(
    ofOpportunity[1]!.changes!.find(({ field }) => field === 'stage'),
    { from: 'proposal', to: 'negotiation', from_text: 'Proposal', to_text: 'Negotiation' }
  )
  t.notOk(
    ofOpportunity[1]!.changes!.some(({ field }) =>
      ['version', 'updated_at', 'updated_by', 'moved_at'].includes(field)
    ),
    'without the noise'
  )
  t.same(titles(ofOpportunity).slice(2), ['Call planned: Budget', 'Opportunity created'])

  t.same(titles(await timeline(`accounts/${corp.id}`)), [
    'Call planned: Budget',
    'Child account added: Corp West',
    'Account created'
  ])
  t.same(titles(await timeline(`accounts/${branch.id}`)), [
    'Parent account changed from nothing to Corp',
    'Parent account changed from Corp to nothing',
    'Opportunity added: Sale',
    'Account created'
  ])

  await t.test('although the records it names are deleted', async t => {
    await call(`DELETE /api/accounts/${branch.id}`)
    await call(`DELETE /api/tags/${red.id}`)
    await call(`DELETE /api/campaigns/${campaign.id}`)
    await call(`DELETE /api/users/${maria.user.id}`)
    await call(`DELETE /api/leads/${lead.id}`)
    const left = await timeline(`contacts/${contact.id}`)
    t.same(left.slice(0, 4), ofContact.slice(0, 4))
    t.same(entry(left, `activity ${activity.id}`), entry(ofContact, `activity ${activity.id}`))
  })

  await t.test('deletion and restoration are entries', async t => {
    await call(`DELETE /api/contacts/${contact.id}`)
    t.equal(
      (await call(`GET /api/contacts/${contact.id}/timeline`)).statusCode,
      404,
      'a deleted record has no timeline'
    )
    await call(`POST /api/contacts/${contact.id}/restore`)
    t.match((await timeline(`contacts/${contact.id}`)).slice(0, 2), [
      { title: 'Contact restored', changes: [] },
      { title: 'Contact deleted', changes: [] }
    ])
  })

  await t.test('an activity moves to the time of its completion', async t => {
    await call(`POST /api/activities/${activity.id}/completion`)
    t.match((await timeline(`opportunities/${opportunity.id}`))[0], {
      title: 'Call completed: Budget'
    })
    await call(`DELETE /api/activities/${activity.id}`)
    t.notOk(
      (await timeline(`opportunities/${opportunity.id}`)).some(({ kind }) => kind === 'activity')
    )
  })
})

t.test(
  'the title of a change has the main field, and its consequences are among the changes',
  async t => {
    const { call, admin } = await organization(app)
    const pipeline = await made(call, 'POST /api/pipelines', {
      name: 'Renewals',
      stages: [{ key: 'offer', name: 'Offer', probability: 30 }]
    })
    const opportunity = await made(call, 'POST /api/opportunities', { title: 'Sale' })
    const account = await made(call, 'POST /api/accounts', { name: 'Corp' })
    const contact = await made(call, 'POST /api/contacts', { first_name: 'John', last_name: 'Doe' })
    const lead = await made(call, 'POST /api/leads', { score: 35 })
    await made(call, 'POST /api/scoring-models', {
      name: 'Ours',
      status: 'active',
      rules: [{ field: 'source', operator: 'eq', value: 'fair', points: 30 }],
      bands: { A: 90, B: 60, C: 20 }
    })
    const patches: [string, object, string, string[]][] = [
      [
        `opportunities/${opportunity.id}`,
        { stage: 'negotiation' },
        'Stage changed from Prospecting to Negotiation',
        ['probability', 'stage']
      ],
      [
        `opportunities/${opportunity.id}`,
        { stage: 'won', close_date: '2026-12-01', amount: 5 },
        'Stage changed from Negotiation to Won, also amount and close date',
        ['amount', 'close_date', 'closed_at', 'probability', 'stage', 'status']
      ],
      [
        `opportunities/${opportunity.id}`,
        { stage: 'lost', lost_reason: 'No budget' },
        'Stage changed from Won to Lost',
        ['closed_at', 'lost_reason', 'probability', 'stage', 'status']
      ],
      [
        `opportunities/${opportunity.id}`,
        { stage: 'offer', pipeline_id: pipeline.id },
        'Pipeline changed from Sales to Renewals',
        ['closed_at', 'lost_reason', 'pipeline_id', 'probability', 'stage', 'status']
      ],
      [
        `opportunities/${opportunity.id}`,
        { probability: 40 },
        'Probability changed from 30 to 40',
        ['probability']
      ],
      [
        `leads/${lead.id}`,
        { source: 'fair' },
        'Score changed from 35 to 30, also source',
        ['source', 'grade', 'score']
      ],
      [
        `leads/${lead.id}`,
        { status: 'qualified', assigned_to: admin.user.id },
        'Status changed from new to qualified, also assigned to',
        ['assigned_to', 'qualified_at', 'status']
      ],
      [
        `leads/${lead.id}`,
        { contact_id: contact.id },
        'Contact changed from nothing to John Doe',
        ['contact_id']
      ],
      [
        `accounts/${account.id}`,
        { status: 'inactive' },
        'Status changed from active to inactive',
        ['status']
      ]
    ]
    for (const [path, body, title, fields] of patches) {
      await made(call, `PATCH /api/${path}`, body)
      const {
        data: [newest]
      } = (await call(`GET /api/${path}/timeline`)).json<{ data: Entry[] }>()
      t.equal(newest!.title, title)
      t.same(newest!.changes!.map(({ field }) => field).toSorted(), fields.toSorted(), title)
    }
    await made(call, `POST /api/leads/${lead.id}/conversion`, {})
    const { data } = (await call(`GET /api/leads/${lead.id}/timeline?kind=change`)).json<{
      data: Entry[]
    }>()
    t.equal(data[0]!.title, 'Status changed from qualified to converted')
  }
)

t.test('a timeline requires the permission to read its record', async t => {
  const { call, user } = await organization(app)
  const stranger = await organization(app)
  const viewer = await user('viewer')
  for (const [path, body, change] of [
    ['contacts', { first_name: 'A', last_name: 'B' }, { last_name: 'C' }],
    ['leads', {}, { source: 'fair' }],
    ['accounts', { name: 'A' }, { name: 'B' }],
    ['opportunities', { title: 'A' }, { title: 'B' }]
  ] as const) {
    const { id } = await made(call, `POST /api/${path}`, body)
    const other = await made(call, `POST /api/${path}`, body)
    await made(call, `PATCH /api/${path}/${id}`, change)
    const url = `/api/${path}/${id}/timeline`
    const page = (await call(`GET ${url}?limit=1`)).json()
    t.match(page, { data: [{ kind: 'change' }], has_more: true, next_cursor: String })
    t.equal((await viewer.call(`GET ${url}`)).json().data.length, 2)
    t.equal((await stranger.call(`GET ${url}`)).statusCode, 404, path)
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
  await sql`vacuum analyze`
  const one = async (resource: string, query = '') =>
    (await call(`GET /api/${resource}?sort=id&limit=1${query}`)).json().data[0].id as number
  const subjects = {
    contacts: await one('contacts'),
    leads: await one('leads'),
    accounts: await one('accounts'),
    opportunities: await one('opportunities')
  }
  await made(call, `PATCH /api/contacts/${subjects.contacts}`, {
    tags: [await one('tags')],
    account_id: null
  })
  await made(call, `PATCH /api/leads/${subjects.leads}`, { assigned_to: admin.user.id })
  await made(call, `PATCH /api/opportunities/${subjects.opportunities}`, { stage: 'proposal' })
  await made(call, `PATCH /api/accounts/${subjects.accounts}`, {
    parent_account_id: subjects.accounts + 1
  })

  for (const [resource, id] of Object.entries(subjects)) {
    const url = `/api/${resource}/${id}/timeline?limit=3`
    const { next_cursor } = (await call(`GET ${url}`)).json()
    for (const asked of [url, `${url}&cursor=${next_cursor}`]) {
      for (const connection of [sql, app.services.database.point]) {
        const plans = await plansOf(app, async () => await call(`GET ${asked}`), connection)
        t.ok(plans.length > 0, asked)
        for (const plan of plans) t.notMatch(plan, /Seq Scan/, asked)
      }
    }
  }
})
