import t from 'tap'
import { application, organization } from '../../support/app.ts'
import { person, create, createLead, get, totals, lenient } from './conversions.ts'

const app = await application(t)

t.test('undoing a conversion', async t => {
  const { call, id: organization_id } = await organization(app)
  const undo = async (id: number) => (await call(`DELETE /api/leads/${id}/conversion`)).json()
  const convert = async (id: number, body: object = {}) =>
    (await call(`POST /api/leads/${id}/conversion`, body, lenient)).json()

  await t.test('restores everything as it was', async t => {
    const existing = await create(call, 'accounts', { name: 'Existing' })
    for (const status of ['new', 'qualified', 'unqualified']) {
      const made = await createLead(call, null)
      await call(
        `POST /api/leads/${made.id}/qualification`,
        status === 'unqualified' ? { outcome: 'unqualified', reason: 'No budget' } : {}
      )
      if (status === 'new') await call(`PATCH /api/leads/${made.id}`, { status })
      const lead = await get(call, `leads/${made.id}`)
      const before = await totals(call)
      const { contact, opportunity } = await convert(lead.id, {
        account: { id: existing.id, annual_revenue: 0.29, employee_count: 7 },
        contact: person,
        opportunity: {}
      })
      const undone = await undo(lead.id)
      const { version: _v, updated_at: _u, moved_at: _m, ...unchanged } = lead
      t.match(
        undone,
        {
          lead: unchanged,
          left: [],
          undone: [
            { type: 'opportunity', id: opportunity.id },
            { type: 'contact', id: contact.id },
            { type: 'account', id: existing.id, fields: ['annual_revenue', 'employee_count'] }
          ]
        },
        status
      )
      t.same(await totals(call), before)
      t.match(await get(call, `accounts/${existing.id}`), {
        annual_revenue: null,
        employee_count: null
      })
      t.equal((await call(`GET /api/leads/${lead.id}/conversion`)).statusCode, 404)
      t.equal((await call(`DELETE /api/leads/${lead.id}/conversion`)).statusCode, 404)
      t.equal(
        (await call(`POST /api/leads/${lead.id}/conversion`, {})).statusCode,
        201,
        'it can be converted again'
      )
      t.match(
        (await call(`GET /api/leads/${lead.id}/moves`))
          .json()
          .data.map((move: { to_stage: string }) => move.to_stage)
          .slice(0, 4),
        ['converted', status, 'converted', status]
      )
    }
    const events = await app.services.database
      .pool`select type, count(*) from events where organization_id = ${organization_id}
        and subject_type = 'conversion' group by 1 order by 1`
    t.same(
      events.map(({ type, count }) => [type, count]),
      [
        ['conversion.created', 6],
        ['conversion.deleted', 3]
      ]
    )
  })

  await t.test('keeps what has changed since, and reports it', async t => {
    const account = await create(call, 'accounts', { name: 'Partly' })
    const lead = await createLead(call, null)
    const { contact, opportunity } = await convert(lead.id, {
      account: { id: account.id, city: 'Bonn', state: 'NRW', country: 'Germany' },
      contact: person,
      opportunity: {}
    })
    await call(`PATCH /api/accounts/${account.id}`, { city: 'Ulm', country: 'DE' })
    await call(`PATCH /api/opportunities/${opportunity.id}`, { amount: 5 })
    const other = await create(call, 'contacts', person)
    await call(`PATCH /api/leads/${lead.id}`, { contact_id: other.id })
    const activity = await create(call, 'activities', {
      type: 'call',
      subject: 'Talk',
      links: [{ type: 'contact', id: contact.id }]
    })
    t.match(await undo(lead.id), {
      lead: { status: 'new', contact_id: other.id, converted_at: null },
      undone: [{ type: 'account', id: account.id, fields: ['state'] }],
      left: [
        { type: 'lead', reason: /contact_id/ },
        { type: 'opportunity', id: opportunity.id, reason: 'It has since changed.' },
        { type: 'contact', id: contact.id, reason: 'It is used by activities.' },
        { type: 'account', id: account.id, reason: 'city and country have since changed.' }
      ]
    })
    t.match(await get(call, `accounts/${account.id}`), { city: 'Ulm', state: null })
    await call(`DELETE /api/activities/${activity.id}`)
  })

  await t.test('reports each field that has changed since, however many', async t => {
    const filled = {
      industry: 'A',
      website: 'A',
      phone: 'A',
      address: 'A',
      city: 'A',
      state: 'A',
      country: 'A',
      postal_code: 'A',
      email: 'a@example.com',
      annual_revenue: 1,
      employee_count: 1
    }
    const { id } = await create(call, 'accounts', { name: 'Filled' })
    const lead = await createLead(call, null)
    await convert(lead.id, { account: { id, ...filled }, opportunity: null })
    const changed = Object.entries(filled).map(([field, value]) => [
      field,
      typeof value === 'number' ? 2 : `b${value}`
    ])
    await call(`PATCH /api/accounts/${id}`, Object.fromEntries(changed))
    const [left] = (await undo(lead.id)).left as { reason: string }[]
    for (const field of Object.keys(filled)) t.match(left!.reason, field)
  })

  await t.test('keeps records that others refer to', async t => {
    const campaign = await create(call, 'campaigns', { name: 'C' })
    for (const [part, use, reason] of [
      [
        'account',
        (id: number) => create(call, 'contacts', { ...person, account_id: id }),
        'contacts'
      ],
      [
        'account',
        (id: number) => create(call, 'opportunities', { title: 'T', account_id: id }),
        'opportunities'
      ],
      [
        'account',
        (id: number) => create(call, 'accounts', { name: 'Child', parent_account_id: id }),
        'accounts'
      ],
      ['contact', (id: number) => create(call, 'leads', { contact_id: id }), 'leads'],
      [
        'contact',
        (id: number) =>
          create(call, 'campaign-members', { campaign_id: campaign.id, contact_id: id }),
        'campaign members'
      ],
      [
        'opportunity',
        (id: number) =>
          create(call, 'activities', {
            type: 'note',
            subject: 'N',
            links: [{ type: 'opportunity', id }]
          }),
        'activities'
      ],
      [
        'account',
        async (id: number) =>
          await convert((await createLead(call, null)).id, { account: { id }, opportunity: null }),
        'conversions'
      ]
    ] as [string, (id: number) => Promise<unknown>, string][]) {
      const lead = await createLead(call, null)
      const made = await convert(lead.id, {
        account: { name: 'Pointed At' },
        contact: person,
        opportunity: {}
      })
      await use(made[part].id as number)
      t.match(
        (await undo(lead.id)).left.find(({ type }: { type: string }) => type === part)?.reason,
        new RegExp(`used by .*${reason}`),
        `${part} by ${reason}`
      )
      t.equal(
        (
          await call(
            `GET /api/${part === 'opportunity' ? 'opportunities' : `${part}s`}/${made[part].id}`
          )
        ).statusCode,
        200
      )
    }
  })

  await t.test('reports a deleted record', async t => {
    const lead = await createLead(call, null)
    const { contact } = await convert(lead.id, { contact: person })
    await call(`DELETE /api/contacts/${contact.id}`)
    t.match((await call(`GET /api/leads/${lead.id}/conversion`)).json(), {
      contact: null,
      created: ['account', 'contact', 'opportunity']
    })
    t.match((await undo(lead.id)).left, [{ type: 'contact', reason: /^It has since been deleted/ }])
  })

  await t.test('twenty concurrent conversions and undos end as one or none', async t => {
    const lead = await createLead(call, { ...person, company: 'Back And Forth' })
    const before = await totals(call)
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, i) =>
        i % 2
          ? await call(`POST /api/leads/${lead.id}/conversion`, {})
          : await call(`DELETE /api/leads/${lead.id}/conversion`)
      )
    )
    const made = answers.filter(({ statusCode }) => statusCode === 201).length
    const undone = answers.filter((answer, i) => i % 2 === 0 && answer.statusCode === 200).length
    for (const { statusCode, body } of answers)
      t.ok([200, 201, 404].includes(statusCode), body.slice(0, 200))
    t.ok(made - undone === 0 || made - undone === 1, `${made} converted, ${undone} undone`)
    t.same(
      await totals(call),
      before.map((count, i) => count + (i >= 2 ? made - undone : 0))
    )
    t.equal((await get(call, `leads/${lead.id}`)).status, made > undone ? 'converted' : 'new')
  })

  await t.test(
    'of leads with shared records, while others are converted, does not deadlock',
    async t => {
      const account = await create(call, 'accounts', { name: 'Shared' })
      const contact = await create(call, 'contacts', { first_name: 'S', last_name: 'S' })
      const leads = await Promise.all(
        ['email', 'phone', 'company', 'position'].map(async (field, i) => ({
          ...(await create(call, 'leads', {})),
          into: {
            account: { id: account.id, [['city', 'state', 'country', 'address'][i]!]: 'X' },
            contact: { id: contact.id, [field]: 'x@example.com' }
          }
        }))
      )
      for (let round = 0; round < 30; round++) {
        const answers = await Promise.all(
          leads.map(async ({ id, into }, i) =>
            round % 2 === i % 2
              ? await call(`POST /api/leads/${id}/conversion`, into)
              : await call(`DELETE /api/leads/${id}/conversion`)
          )
        )
        for (const { statusCode, body } of answers)
          t.ok(
            [200, 201].includes(statusCode) || (round === 0 && statusCode === 404),
            body.slice(0, 200)
          )
      }
    }
  )
})

t.test('a lead that was converted elsewhere has no conversion, and gets none', async t => {
  const { call, id: organization_id } = await organization(app)
  const { id } = await create(call, 'leads', {})
  await app.services.database.pool`update leads set status = 'converted', version = version + 1
      where organization_id = ${organization_id} and id = ${id}`
  t.equal((await call(`GET /api/leads/${id}/conversion`)).statusCode, 404)
  t.match((await call(`POST /api/leads/${id}/conversion`, {})).json(), {
    status: 409,
    code: 'conflict'
  })
})
