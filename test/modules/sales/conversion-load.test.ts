import type { TransactionSql } from 'postgres'
import t from 'tap'
import { application, organization, ownerOf } from '../../support/app.ts'
import { create } from './conversions.ts'

const app = await application(t)

t.test('with 5,000 rows, no statement of a conversion scans a table', async t => {
  const { call, id: organization_id } = await organization(app)
  const sql = app.services.database.pool
  const [first] = await sql<
    [{ pipeline_id: number }]
  >`select id as pipeline_id from pipelines where organization_id = ${organization_id}`
  const campaign = await create(call, 'campaigns', { name: 'Many' })
  await sql.begin(async sql => {
    await sql`set local statement_timeout = '60s'`
    const ids = async (table: string) =>
      (
        await sql.unsafe<[{ id: number }]>(
          `select min(id) - 1 as id from ${table} where organization_id = ${organization_id}`
        )
      )[0].id
    await sql`insert into accounts (organization_id, name, website)
      select ${organization_id}, 'Account ' || n, 'https://www.site' || n || '.example.com'
      from generate_series(1, 5000) n`
    await sql`insert into contacts (organization_id, first_name, last_name, email, company,
      account_id)
      select ${organization_id}, 'First' || n % 100, 'Last' || n % 700,
        'mail' || n || '@example.com', 'Company ' || n % 300, ${await ids('accounts')}::bigint + n
        from generate_series(1, 5000) n`
    await sql`insert into leads (organization_id, contact_id)
      select ${organization_id}, ${await ids('contacts')}::bigint + n
      from generate_series(1, 5000) n`
    await sql`insert into opportunities (organization_id, pipeline_id, title, account_id, lead_id)
      select ${organization_id}, ${first.pipeline_id}, 'Sale', ${await ids('accounts')}::bigint + n,
        ${await ids('leads')}::bigint + n from generate_series(1, 5000) n`
    await sql`insert into campaign_members (organization_id, campaign_id, contact_id)
      select ${organization_id}, ${campaign.id}, ${await ids('contacts')}::bigint + n
      from generate_series(1, 5000) n`
    await sql`insert into activities (organization_id, type, subject, links)
      select ${organization_id}, 'note', 'N',
        jsonb_build_array(jsonb_build_object('type', 'account', 'id',
        ${await ids('accounts')}::bigint + n),
        jsonb_build_object('type', 'contact', 'id', ${await ids('contacts')}::bigint + n),
        jsonb_build_object('type', 'opportunity', 'id', ${await ids('opportunities')}::bigint + n))
      from generate_series(1, 5000) n`
    await sql`insert into conversions
      (organization_id, lead_id, account_id, contact_id, opportunity_id, lead_before, traces)
      select ${organization_id}, ${await ids('leads')}::bigint + n,
        ${await ids('accounts')}::bigint + n, ${await ids('contacts')}::bigint + n,
        ${await ids('opportunities')}::bigint + n, '{}', '{}' from generate_series(2, 5000) n`
  })
  await ownerOf(app)`vacuum analyze`

  /** The plans of the statements of a request, those within its transaction as well. */
  async function plansWithin(request: string, body?: object): Promise<string[]> {
    const sent: [string, never[]][] = []
    const begin = sql.begin.bind(sql)
    sql.begin = (async (work: (connection: TransactionSql) => Promise<unknown>) =>
      await begin(async connection => {
        const unsafe = connection.unsafe.bind(connection)
        connection.unsafe = ((text: string, values: never[], options: object) => {
          sent.push([text, values])
          return unsafe(text, values, options)
        }) as typeof sql.unsafe
        return await work(connection)
      })) as typeof sql.begin
    const answer = await call(request, body).finally(() => {
      sql.begin = begin
    })
    if (answer.statusCode >= 300) throw new Error(answer.body)
    return await Promise.all(
      sent.map(async ([text, values]) =>
        (await sql.unsafe(`explain ${text}`, values))
          .map(row => String(row['QUERY PLAN']))
          .join('\n')
      )
    )
  }
  const tables = [
    'accounts',
    'contacts',
    'leads',
    'opportunities',
    'conversions',
    'campaign_members',
    'activity_links',
    'moves'
  ]
  const scan = new RegExp(`Seq Scan on (${tables.join('|')})`)
  const { id } = await create(call, 'leads', {})
  const converting = await plansWithin(`POST /api/leads/${id}/conversion`, {
    account: { name: 'Account 17x', website: 'site4711x.example.com' },
    contact: {
      first_name: 'First77',
      last_name: 'Last77',
      company: 'Company 77x',
      email: 'mail777x@example.com'
    }
  })
  const undoing = await plansWithin(`DELETE /api/leads/${id}/conversion`)
  t.ok(converting.length > 10 && undoing.length > 10)
  for (const plan of [...converting, ...undoing]) t.notMatch(plan, scan)
  for (const index of ['accounts_name', 'accounts_website', 'contacts_email', 'contacts_person'])
    t.ok(
      converting.some(plan => plan.includes(`Scan using idx_${index}_key`)),
      index
    )
})

t.test('no deadlock between leads, conversions and undos around one contact', async t => {
  const { call, user } = await organization(app)
  const members = [(await user('user')).user.id, (await user('user')).user.id]
  const team_id = (await call('POST /api/teams', { name: 'Team', member_ids: members })).json().id
  for (const resource of ['leads', 'accounts', 'opportunities'])
    await call('POST /api/assignment-rules', {
      name: resource,
      resource,
      status: 'active',
      team_id
    })
  await call('POST /api/scoring-models', {
    name: 'Model',
    status: 'active',
    rules: [{ field: 'contact.company', operator: 'null', value: 'false', points: 5 }]
  })
  const account = (await call('POST /api/accounts', { name: 'Shared' })).json().id
  for (let round = 0; round < 3; round++) {
    const contact_id = (
      await call('POST /api/contacts', {
        first_name: 'A',
        last_name: 'B',
        company: `Company ${round}`
      })
    ).json().id
    const leads = await Promise.all(
      Array.from(
        { length: 6 },
        async () =>
          (await call('POST /api/leads', { contact_id, assigned_to: null })).json().id as number
      )
    )
    const made = await Promise.all([
      ...leads.map(
        async (id, i) =>
          await call(
            `POST /api/leads/${id}/conversion`,
            i % 2 ? { account: { id: account } } : { account: { name: `New ${round} ${i}` } },
            { prefer: 'handling=lenient' }
          )
      ),
      ...Array.from({ length: 8 }, async () => await call('POST /api/leads', { contact_id }))
    ])
    t.same([...new Set(made.map(({ statusCode }) => statusCode))], [201])
    const undone = await Promise.all(
      leads.map(async id => await call(`DELETE /api/leads/${id}/conversion`))
    )
    t.same([...new Set(undone.map(({ statusCode }) => statusCode))], [200])
  }
})
