import t from 'tap'
import { application, organization } from '../../support/app.ts'
import { convert, person, create, createLead, get, totals, lenient } from './conversions.ts'

const app = await application(t)

t.test('a conversion', async t => {
  const { call, user } = await organization(app)
  const other = await organization(app)

  await t.test('has sensible defaults', async t => {
    const owner = await user('user')
    const lead = await createLead(call, person, { assigned_to: owner.user.id, status: 'qualified' })
    const answer = await call(`POST /api/leads/${lead.id}/conversion`, {})
    t.match([answer.statusCode, answer.headers.location], [201, `/api/leads/${lead.id}/conversion`])
    const made = answer.json()
    t.match(made, {
      lead: {
        id: lead.id,
        status: 'converted',
        converted_at: /^20/,
        qualified_at: /^20/,
        version: 2
      },
      account: { name: 'Müller & Söhne', assigned_to: owner.user.id },
      contact: { id: lead.contact_id, account_id: made.account.id, version: 2 },
      opportunity: {
        title: 'Müller & Söhne',
        lead_id: lead.id,
        account_id: made.account.id,
        stage: 'prospecting',
        assigned_to: owner.user.id
      },
      created: ['account', 'opportunity'],
      filled: { account: [], contact: ['account_id'], opportunity: [] },
      converted_at: made.lead.converted_at
    })
    t.same((await call(`GET /api/leads/${lead.id}/conversion`)).json(), made)
    t.match((await call(`GET /api/leads/${lead.id}/moves`)).json().data, [
      { from_stage: 'qualified', to_stage: 'converted' },
      { to_stage: 'qualified' }
    ])
    t.match((await call(`GET /api/leads/${lead.id}/history`)).json().data[0], {
      type: 'lead.updated',
      changed: ['converted_at', 'moved_at', 'status']
    })

    const second = await convert(
      call,
      await createLead(call, { ...person, email: null, company: 'MULLER & sohne ' })
    )
    t.match(
      [second.account.id, second.created],
      [made.account.id, ['opportunity']],
      'the only account of that name is used'
    )
    const third = await convert(call, await create(call, 'leads', { contact_id: lead.contact_id }))
    t.match(
      [third.account.id, third.filled.contact],
      [made.account.id, []],
      'and so is that of the contact'
    )
    const bare = await convert(call, await createLead(call, null))
    t.match(bare, {
      account: null,
      contact: null,
      opportunity: { title: /^Lead \d+$/, account_id: null },
      lead: { contact_id: null }
    })
    const alone = await convert(call, await createLead(call, { first_name: 'A', last_name: 'B' }))
    t.match(alone, { account: null, opportunity: { title: 'A B' } })
  })

  await t.test('into nothing creates nothing', async t => {
    const lead = await createLead(call)
    const before = await totals(call)
    const none = (
      await call(`POST /api/leads/${lead.id}/conversion`, {
        account: null,
        contact: null,
        opportunity: null
      })
    ).json()
    t.match(none, {
      account: null,
      contact: null,
      opportunity: null,
      created: [],
      lead: { status: 'converted', contact_id: lead.contact_id }
    })
    t.same(await totals(call), before)
  })

  await t.test('fills only empty fields of existing records', async t => {
    const account = await create(call, 'accounts', { name: 'Filled Ltd', city: 'Bonn' })
    const contact = await create(call, 'contacts', { first_name: 'A', last_name: 'B', phone: '1' })
    const opportunity = await create(call, 'opportunities', {
      title: 'Sale',
      amount: 5.5,
      stage: 'proposal',
      probability: 60
    })
    const { id } = await create(call, 'leads', {})
    const made = (
      await call(`POST /api/leads/${id}/conversion`, {
        account: {
          id: account.id,
          name: 'Other',
          city: 'Ulm',
          annual_revenue: 0.29,
          employee_count: null
        },
        contact: { id: contact.id, phone: '2', email: 'a@example.com' },
        opportunity: {
          id: opportunity.id,
          title: 'Other',
          amount: 7,
          stage: 'won',
          close_date: '2027-01-31'
        }
      })
    ).json()
    t.match(made, {
      account: {
        id: account.id,
        name: 'Filled Ltd',
        city: 'Bonn',
        annual_revenue: 0.29,
        version: 2
      },
      contact: {
        id: contact.id,
        phone: '1',
        email: 'a@example.com',
        account_id: account.id,
        version: 2
      },
      opportunity: {
        id: opportunity.id,
        title: 'Sale',
        amount: 5.5,
        stage: 'proposal',
        close_date: '2027-01-31',
        lead_id: id,
        account_id: account.id,
        version: 2
      },
      lead: { contact_id: contact.id },
      created: [],
      filled: {
        account: ['annual_revenue'],
        contact: ['account_id', 'email'],
        opportunity: ['account_id', 'close_date', 'lead_id']
      }
    })
  })

  await t.test('with an invalid part is refused with a pointer and writes nothing', async t => {
    const gone = await create(call, 'accounts', { name: 'Gone' })
    await call(`DELETE /api/accounts/${gone.id}`)
    const theirs = {
      account: await create(other.call, 'accounts', { name: 'Theirs' }),
      contact: await create(other.call, 'contacts', person),
      opportunity: await create(other.call, 'opportunities', { title: 'Theirs' })
    }
    const lead = await createLead(call, { ...person, email: null, company: 'Fresh Company' })
    const before = await totals(call)
    const unknown = (pointer: string) => ({
      status: 422,
      code: 'unknown_reference',
      errors: [{ pointer }]
    })
    for (const [body, expected] of [
      [{ account: { id: 999_999 } }, unknown('/account/id')],
      [{ account: { id: gone.id } }, unknown('/account/id')],
      [{ account: { id: theirs.account.id, city: 'Bonn' } }, unknown('/account/id')],
      [{ contact: { id: theirs.contact.id } }, unknown('/contact/id')],
      [{ opportunity: { id: theirs.opportunity.id } }, unknown('/opportunity/id')],
      [
        { account: { name: 'New', parent_account_id: theirs.account.id } },
        unknown('/account/parent_account_id')
      ],
      [{ account: { name: 'New', tags: [999_999] } }, unknown('/account/tags')],
      [{ account: null, opportunity: { account_id: gone.id } }, unknown('/opportunity/account_id')],
      [{ opportunity: { assigned_to: 999_999 } }, unknown('/opportunity/assigned_to')],
      [
        { contact: { company: 'Fresh Company' } },
        {
          status: 422,
          code: 'rule_broken',
          errors: [{ pointer: '/contact/first_name' }, { pointer: '/contact/last_name' }]
        }
      ],
      [
        { contact: null, account: {} },
        { status: 422, code: 'rule_broken', errors: [{ pointer: '/account/name' }] }
      ],
      [
        { opportunity: { stage: 'nowhere' } },
        { status: 422, errors: [{ pointer: '/opportunity/stage' }] }
      ],
      [
        { contact: { first_name: 'A', last_name: 'B', email: 'nobody' } },
        { status: 400, errors: [{ pointer: '/contact/email' }] }
      ],
      [
        { opportunity: { lead_id: 1 } },
        { status: 400, errors: [{ pointer: '/opportunity/lead_id' }] }
      ],
      [{ nonsense: 1 }, { status: 400, errors: [{ pointer: '/nonsense' }] }]
    ] as [object, object][])
      t.match(
        (await call(`POST /api/leads/${lead.id}/conversion`, body)).json(),
        expected,
        JSON.stringify(body)
      )
    t.same(await totals(call), before)
    t.same(await get(call, `leads/${lead.id}`), lead)
    t.equal((await get(call, `contacts/${String(lead.contact_id)}`)).version, 1)
    t.equal((await call(`GET /api/leads/${lead.id}/conversion`)).statusCode, 404)
  })

  await t.test('is forbidden to viewers and invisible to other organizations', async t => {
    const lead = await createLead(call)
    const viewer = await user('viewer')
    t.equal((await viewer.call(`POST /api/leads/${lead.id}/conversion`, {})).statusCode, 403)
    await call(`POST /api/leads/${lead.id}/conversion`, { opportunity: null }, lenient)
    for (const method of ['POST', 'GET', 'DELETE'])
      t.equal(
        (
          await other.call(
            `${method} /api/leads/${lead.id}/conversion`,
            method === 'POST' ? {} : undefined
          )
        ).statusCode,
        404,
        method
      )
    t.match(
      [
        (await viewer.call(`GET /api/leads/${lead.id}/conversion`)).statusCode,
        (await viewer.call(`DELETE /api/leads/${lead.id}/conversion`)).statusCode
      ],
      [200, 403]
    )
    await call(`DELETE /api/leads/${lead.id}`)
    for (const method of ['POST', 'GET', 'DELETE'])
      t.equal(
        (
          await call(
            `${method} /api/leads/${lead.id}/conversion`,
            method === 'POST' ? {} : undefined
          )
        ).statusCode,
        404,
        `${method} of a deleted lead`
      )
  })
})
