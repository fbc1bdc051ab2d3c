import t from 'tap'
import { application, organization } from '../../support/app.ts'
import { type Entry, create } from './timeline.ts'

const app = await application(t)

t.test('each entry is readable without another request', async t => {
  const { call, admin, user } = await organization(app)
  const maria = await user('user')
  const corp = await create(call, 'POST /api/accounts', { name: 'Corp' })
  const branch = await create(call, 'POST /api/accounts', {
    name: 'Corp West',
    parent_account_id: corp.id
  })
  const [red, blue] = [
    await create(call, 'POST /api/tags', { name: 'red' }),
    await create(call, 'POST /api/tags', { name: 'blue' })
  ]
  const contact = await create(maria.call, 'POST /api/contacts', {
    first_name: 'John',
    last_name: 'Doe',
    account_id: corp.id,
    tags: [red.id]
  })
  const lead = await create(call, 'POST /api/leads', {
    contact_id: contact.id,
    source: 'fair',
    assigned_to: admin.user.id
  })
  const second = await create(call, 'POST /api/leads', {
    contact_id: contact.id,
    source: 'telephone'
  })
  const opportunity = await create(call, 'POST /api/opportunities', {
    title: 'Sale',
    lead_id: lead.id,
    account_id: corp.id,
    stage: 'proposal',
    assigned_to: admin.user.id
  })
  const extra = await create(call, 'POST /api/opportunities', {
    title: 'Extra',
    lead_id: second.id
  })
  const campaign = await create(call, 'POST /api/campaigns', { name: 'Spring' })
  await create(maria.call, 'POST /api/campaign-members', {
    campaign_id: campaign.id,
    contact_id: contact.id
  })
  await create(call, 'POST /api/campaign-members', { campaign_id: campaign.id, lead_id: lead.id })
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
  const activity = await create(maria.call, 'POST /api/activities', {
    type: 'call',
    subject: 'Budget',
    assigned_to: admin.user.id,
    links
  })
  const note = await create(call, 'POST /api/activities', {
    type: 'note',
    subject: 'Likes tea',
    links: links.slice(0, 1)
  })
  await create(call, `PATCH /api/contacts/${contact.id}`, { account_id: branch.id })
  await create(call, `PATCH /api/contacts/${contact.id}`, {
    tags: [blue.id, red.id],
    email: 'john@example.com',
    company: 'x'.repeat(100)
  })
  await create(maria.call, `PATCH /api/contacts/${contact.id}`, { account_id: null })
  await create(call, `PATCH /api/contacts/${contact.id}`, { company: 'y'.repeat(100) })
  await create(call, `PATCH /api/leads/${lead.id}`, { assigned_to: maria.user.id })
  await create(call, `PATCH /api/leads/${lead.id}`, { contact_id: null })
  await create(call, `PATCH /api/opportunities/${opportunity.id}`, { stage: 'negotiation' })
  await create(call, `PATCH /api/opportunities/${opportunity.id}`, {
    lead_id: null,
    assigned_to: maria.user.id,
    account_id: branch.id
  })
  await create(call, `PATCH /api/accounts/${branch.id}`, { parent_account_id: null })
  await create(call, `PATCH /api/accounts/${branch.id}`, { parent_account_id: corp.id })
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
      'Account cleared (Corp West)',
      'Company, email, and tags changed',
      'Account changed from Corp to Corp West',
      'Note: Likes tea',
      'Call planned: Budget',
      'Added to campaign: Spring',
      'Opportunity added: Extra',
      'Lead added: John Doe, telephone',
      'Contact created'
    ],
    'a lead that refers to another contact now is absent'
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
    'Contact cleared (John Doe)',
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
    'without derived fields'
  )
  t.same(titles(ofOpportunity).slice(2), ['Call planned: Budget', 'Opportunity created'])

  t.same(titles(await timeline(`accounts/${corp.id}`)), [
    'Call planned: Budget',
    'Child account added: Corp West',
    'Account created'
  ])
  t.same(titles(await timeline(`accounts/${branch.id}`)), [
    'Parent account set to Corp',
    'Parent account cleared (Corp)',
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
    const pipeline = await create(call, 'POST /api/pipelines', {
      name: 'Renewals',
      stages: [{ key: 'offer', name: 'Offer', probability: 30 }]
    })
    const opportunity = await create(call, 'POST /api/opportunities', { title: 'Sale' })
    const account = await create(call, 'POST /api/accounts', { name: 'Corp' })
    const contact = await create(call, 'POST /api/contacts', {
      first_name: 'John',
      last_name: 'Doe'
    })
    const lead = await create(call, 'POST /api/leads', { score: 35 })
    await create(call, 'POST /api/scoring-models', {
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
      [`leads/${lead.id}`, { contact_id: contact.id }, 'Contact set to John Doe', ['contact_id']],
      [
        `accounts/${account.id}`,
        { status: 'inactive' },
        'Status changed from active to inactive',
        ['status']
      ]
    ]
    for (const [path, body, title, fields] of patches) {
      await create(call, `PATCH /api/${path}`, body)
      const {
        data: [newest]
      } = (await call(`GET /api/${path}/timeline`)).json<{ data: Entry[] }>()
      t.equal(newest!.title, title)
      t.same(newest!.changes!.map(({ field }) => field).toSorted(), fields.toSorted(), title)
    }
    await create(call, `POST /api/leads/${lead.id}/conversion`, {})
    const { data } = (await call(`GET /api/leads/${lead.id}/timeline?kind=change`)).json<{
      data: Entry[]
    }>()
    t.equal(data[0]!.title, 'Status changed from qualified to converted')
  }
)
