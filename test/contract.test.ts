// The requests of the SmartX document, word for word.
import t from 'tap'
import { application, bearer, caller } from './support/app.ts'
import { createOrganization } from '../src/bootstrap/organizations.ts'

t.test('every request of the SmartX document has the response that it describes', async t => {
  const app = await application(t)
  await createOrganization(app.services, 'SmartX', {
    username: 'user@example.com',
    email: 'user@example.com',
    password: 'password123'
  })
  const login = await caller(app)('POST /api/auth/login', {
    username: 'user@example.com',
    password: 'password123'
  })
  t.equal(login.statusCode, 200)
  t.match(login.json(), {
    token: /^eyJ/,
    user: { id: 1, username: 'user@example.com', role: 'admin' }
  })
  const call = caller(app, bearer(login.json().token))
  await call('POST /api/users', {
    username: 'second',
    email: 'second@example.com',
    password: 'a quiet harbour 47'
  })

  const john = {
    first_name: 'John',
    last_name: 'Doe',
    email: 'john.doe@example.com',
    phone: '+1234567890',
    company: 'Example Corp'
  }
  const made = await call('POST /api/contacts', john)
  t.equal(made.statusCode, 201)
  t.match(made.json(), { id: 1, ...john })
  t.match((await call('GET /api/contacts')).json(), { data: [{ id: 1, ...john }], has_more: false })
  t.match((await call('GET /api/contacts/1')).json(), { id: 1, ...john })
  const smith = { first_name: 'John', last_name: 'Smith', email: 'john.smith@example.com' }
  t.match(
    (await call('PUT /api/contacts/1', smith)).json(),
    { ...john, ...smith, version: 2 },
    'a PUT keeps the fields that are not sent'
  )

  const lead = { contact_id: 1, source: 'website', status: 'new', assigned_to: 2 }
  t.match((await call('POST /api/leads', lead)).json(), { id: 1, ...lead, score: 0 })
  t.match((await call('GET /api/leads')).json(), { data: [lead] })
  const opportunity = {
    lead_id: 1,
    title: 'Enterprise Software License',
    amount: 50000.0,
    stage: 'proposal',
    probability: 75,
    close_date: '2024-03-15'
  }
  const sold = await call('POST /api/opportunities', opportunity)
  t.equal(sold.statusCode, 201)
  t.match(sold.json(), { id: 1, ...opportunity })
  t.match((await call('GET /api/opportunities')).json(), { data: [opportunity] })

  const gone = await call('DELETE /api/contacts/1')
  t.equal(gone.statusCode, 204)
  t.equal((await call('GET /api/contacts/1')).statusCode, 404)
  t.equal((await caller(app)('GET /api/contacts')).statusCode, 401)
})

t.test(
  'the tables have the columns, lengths, defaults and indexes of the SmartX document',
  async t => {
    const app = await application(t)
    const sql = app.services.database.pool
    const columns = await sql<{ name: string }[]>`
    select table_name || '.' || column_name || ' ' || data_type ||
      coalesce('(' || character_maximum_length || ')',
      '(' || numeric_precision || ',' || numeric_scale || ')', '') ||
      case is_nullable when 'NO' then ' not null' else '' end ||
      coalesce(' default ' || column_default, '') as name
    from information_schema.columns where table_schema = 'public'`
    const found = columns.map(({ name }) => name)
    for (const column of [
      'users.username character varying(80) not null',
      'users.email character varying(120) not null',
      'users.password_hash character varying(255) not null',
      // with room for the names of roles that organizations add
      "users.role character varying(60) not null default 'user'::character varying",
      'contacts.first_name character varying(50) not null',
      'contacts.last_name character varying(50) not null',
      'contacts.email character varying(120)',
      'contacts.phone character varying(20)',
      'contacts.company character varying(100)',
      'contacts.position character varying(100)',
      'contacts.created_by bigint(64,0)',
      'leads.contact_id bigint(64,0)',
      'leads.source character varying(50)',
      "leads.status character varying(20) not null default 'new'::character varying",
      'leads.score integer(32,0) not null default 0',
      'leads.assigned_to bigint(64,0)',
      'opportunities.lead_id bigint(64,0)',
      'opportunities.title character varying(200) not null',
      'opportunities.amount numeric(10,2)',
      "opportunities.stage character varying(50) not null default 'prospecting'::character varying",
      'opportunities.probability integer(32,0) not null default 0',
      'opportunities.close_date date',
      'opportunities.assigned_to bigint(64,0)'
    ])
      t.ok(found.includes(column), column)
    const indexes = (
      await sql<
        { indexname: string }[]
      >`select indexname from pg_indexes where schemaname = 'public'`
    ).map(({ indexname }) => indexname)
    for (const index of ['idx_contacts_email', 'idx_leads_status', 'idx_opportunities_stage'])
      t.ok(indexes.includes(index), index)
  }
)
