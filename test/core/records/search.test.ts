import t, { type Test } from 'tap'
import { application, organization, type Call, summaryOf } from '../../support/app.ts'
import { type Row } from './lists.ts'

const app = await application(t)

/** What a search of a list finds, by a field, in the order of creation. */
async function search(call: Call, list: string, q: string, field: string): Promise<unknown[]> {
  const answer = await call(`GET /api/${list}?sort=id&q=${encodeURIComponent(q)}`)
  if (answer.statusCode !== 200) throw new Error(answer.body)
  return (answer.json().data as Row[]).map(row => row[field])
}

/** Asserts that each search of contacts finds exactly these, by `field`. */
async function finds(t: Test, call: Call, field: string, cases: Record<string, unknown[]>) {
  for (const [q, expected] of Object.entries(cases))
    t.same(await search(call, 'contacts', q, field), expected, `q=${q}`)
}

const contact = async (call: Call, body: object) => {
  const answer = await call('POST /api/contacts', { first_name: 'Ann', last_name: 'Lee', ...body })
  if (answer.statusCode !== 201) throw new Error(answer.body)
  return answer.json() as Row
}

t.test('a phone number is found in any notation', async t => {
  const { call } = await organization(app)
  const [e164, spaced, dotted] = ['+15551234567', '(555) 123-4567', '555.123.4567']
  const [german, local] = ['+49 (0)30 901820', '030 / 90 18 20']
  const arabic = '٠٥٠ ١٢٣ ٤٥٦٧'
  const others = ['+445551234568', '+33 5 55 12 34 56', '1234']
  for (const phone of [e164, spaced, dotted, german, local, arabic, ...others])
    await contact(call, { phone })
  const all = [e164, spaced, dotted]
  await finds(t, call, 'phone', {
    '5551234567': all,
    '+15551234567': all,
    ' 15551234567': all,
    '15551234567': all,
    '001 555 123 4567': all,
    '(555) 123-4567': all,
    '1-555-123-4567': all,
    '555.123.4567': all,
    '555 123 4567': all,
    '٥٥٥١٢٣٤٥٦٧': all,
    '+١ ٥٥٥ ١٢٣ ٤٥٦٧': all,
    '５５５１２３４５６７': all,
    'tel:+1-555-123-4567': all,
    '1234567': [...all, arabic],
    '123-4567': [...all, arabic],
    '4567 lee': [...all, arabic],
    '+4930901820': [german, local],
    '0049 30 901820': [german, local],
    '030 901820': [german, local],
    '0501234567': [arabic],
    '+971 50 123 4567': [arabic],
    '5551234569': [],
    '+15551234568': [],
    '+49 555 123 4567': [spaced, dotted],
    '45-67': [...all, arabic],
    '1234': [...all, arabic, ...others],
    '0100': []
  })
})

t.test('scripts without spaces are found anywhere, and a name as one word', async t => {
  const { call } = await organization(app)
  await contact(call, {
    first_name: '伟',
    last_name: '王',
    company: '北京字节跳动科技有限公司'
  })
  await contact(call, { first_name: '李', last_name: '娜', company: '東京カメラ' })
  await contact(call, { first_name: '민수', last_name: '김', company: '삼성 전자' })
  await contact(call, { first_name: 'สมชาย', last_name: 'ใจดี', company: 'ธนาคารกรุงไทย' })
  await finds(t, call, 'last_name', {
    字节: ['王'],
    节: ['王'],
    王伟: ['王'],
    '王 伟': ['王'],
    '伟，王': ['王'],
    字跳: [],
    李娜: ['娜'],
    京: ['王', '娜'],
    ｶﾒﾗ: ['娜'],
    김민수: ['김'],
    수: ['김'],
    삼성전자: ['김'],
    กรุงไทย: ['ใจดี'],
    ไท: ['ใจดี'],
    สมชายใจดี: ['ใจดี']
  })
})

t.test('one or two letters find the beginning of a word after anything but a letter', async t => {
  const { call } = await organization(app)
  const company = 'Acme\u00a0Überseehandel (UK)'
  await contact(call, { first_name: 'Jean-Luc', last_name: "L'Aquila", company })
  await contact(call, { first_name: 'Ｆｕｌｌ', last_name: 'D’Angelo', company: 'a/b_c:d—e“fg”' })
  await finds(t, call, 'first_name', {
    lu: ['Jean-Luc'],
    uk: ['Jean-Luc'],
    aq: ['Jean-Luc'],
    üb: ['Jean-Luc'],
    ub: ['Jean-Luc'],
    an: ['Ｆｕｌｌ'],
    fu: ['Ｆｕｌｌ'],
    fg: ['Ｆｕｌｌ'],
    d: ['Ｆｕｌｌ'],
    c: ['Ｆｕｌｌ'],
    uc: [],
    qu: []
  })
})

t.test('a name is found with and without its apostrophe', async t => {
  const { call } = await organization(app)
  for (const last_name of ["O'Brien", 'O’Brien', 'OBrien', 'O Brien'])
    await contact(call, { last_name })
  await finds(t, call, 'last_name', {
    obrien: ["O'Brien", 'O’Brien', 'OBrien'],
    "o'brien": ["O'Brien", 'O’Brien', 'OBrien'],
    OʼBRIEN: ["O'Brien", 'O’Brien', 'OBrien'],
    brien: ["O'Brien", 'O’Brien', 'OBrien', 'O Brien'],
    'o brien': ["O'Brien", 'O’Brien', 'OBrien', 'O Brien']
  })
})

t.test('optional marks and forms of letters do not matter in any script', async t => {
  const { call } = await organization(app)
  const cases = [
    ['ΠΑΠΑΔΟΠΟΥΛΟΣ', 'παπαδοπουλος'],
    ['Σωκράτης', 'ΣΩΚΡΑΤΗΣ'],
    ['أحمد', 'احمد'],
    ['مُحَمَّد', 'محمد'],
    ['محـــمود', 'محمود'],
    ['فاطمة', 'فاطمه'],
    ['علی', 'علي'],
    ['שָׁלוֹם', 'שלום'],
    ['Семён', 'семен'],
    ['Nguyễn', 'nguyen'],
    ['Zero\u200bWidth', 'zerowidth'],
    ['Soft\u00adHyphen', 'softhyphen'],
    ['ﬁnley', 'finley'],
    ['Straße', 'STRASSE'],
    ['İpek', 'ipek'],
    ['Zo\u0065\u0308tje', 'zoëtje']
  ] as const
  for (const [last_name] of cases) await contact(call, { last_name })
  for (const [last_name, q] of cases) {
    t.same(await search(call, 'contacts', q, 'last_name'), [last_name], `q=${q}`)
    t.same(await search(call, 'contacts', last_name, 'last_name'), [last_name], last_name)
  }
})

t.test('pasted names, addresses and links are understood', async t => {
  const { call } = await organization(app)
  await contact(call, {
    first_name: 'Deborah',
    last_name: 'Quill',
    email: 'deb.quill@quill-partners.example'
  })
  await contact(call, { first_name: 'Deborah', last_name: 'Stone' })
  for (const q of [
    'Quill, Deborah',
    'Quill,Deborah',
    '"Deborah Quill"',
    '“Deborah Quill”',
    'Deborah Quill <deb.quill@quill-partners.example>',
    '"Quill, Deborah" <Deb.Quill@Quill-Partners.example>;',
    '<deb.quill@quill-partners.example>',
    'mailto:deb.quill@quill-partners.example',
    'mailto:deb.quill@quill-partners.example?subject=Our%20offer',
    'Quill (Deborah)',
    'D. Quill',
    'Quill & Deborah -',
    'Deborah\u00a0Quill',
    '@quill-partners.example',
    `Quill ${'Deborah '.repeat(24)}`.slice(0, 200)
  ])
    t.same(await search(call, 'contacts', q, 'last_name'), ['Quill'], `q=${q}`)
  const long = await call(`GET /api/contacts?q=${'a'.repeat(201)}`)
  t.match([long.statusCode, long.json().errors[0].parameter], [400, 'q'])
  const many = Array.from({ length: 100 }, (_, i) => String.fromCharCode(0x3b1 + (i % 24)))
  t.same(await search(call, 'contacts', many.join(' ').slice(0, 200), 'last_name'), [])

  await call('POST /api/accounts', {
    name: 'Quill Partners',
    website: 'https://www.quill-partners.example',
    email: 'office@quill.example',
    phone: '+44 (0)20 7946 0958'
  })
  await call('POST /api/accounts', { name: 'Other', website: 'http://other.example/' })
  for (const q of [
    'https://www.quill-partners.example/',
    'http://quill-partners.example',
    'www.quill-partners.example',
    'quill-partners.example',
    'https://quill-partners.example?utm_source=mail#top',
    'OFFICE@quill.example',
    '020 7946 0958',
    '+442079460958'
  ])
    t.same(await search(call, 'accounts', q, 'name'), ['Quill Partners'], `q=${q}`)
  t.same(await search(call, 'accounts', 'https://other.example', 'name'), ['Other'])
})

t.test('a search without a letter or digit finds nothing', async t => {
  const { call } = await organization(app)
  await contact(call, { company: '100% & more' })
  for (const q of ['%', '_', '-', "'", '&', '\\', '؟', '\u200b'])
    t.same(await search(call, 'contacts', q, 'id'), [], `q=${q}`)
  t.equal((await search(call, 'contacts', '100%', 'id')).length, 1)
})

t.test('leads are found by the words of their contact', async t => {
  const { call } = await organization(app)
  const other = await organization(app)
  const deborah = await contact(call, {
    first_name: 'Deborah',
    last_name: 'Quill',
    email: 'deb@quill.example',
    phone: '(555) 123-4567',
    company: 'Quill Partners'
  })
  const stone = await contact(call, { first_name: 'Deborah', last_name: 'Stone' })
  const elsewhere = await contact(other.call, { first_name: 'Deborah', last_name: 'Quill' })
  const lead = async (contact_id: number | null, who = call) =>
    (await who('POST /api/leads', { contact_id, source: 'website' })).json().id as number
  const [one, two, three] = [await lead(deborah.id), await lead(deborah.id), await lead(stone.id)]
  await lead(null)
  await lead(elsewhere.id, other.call)
  const found = async (query: string) => {
    const answer = await call(`GET /api/leads?sort=id&count=exact&${query}`)
    if (answer.statusCode !== 200) throw new Error(answer.body)
    const { data, total } = answer.json()
    t.equal(total, data.length, `${query}, counted`)
    return (data as Row[]).map(({ id }) => id)
  }

  t.same(await found('q=deborah'), [one, two, three])
  t.same(await found('q=Quill,%20Deborah'), [one, two], 'all words must occur')
  t.same(await found('q=deborah%20stone'), [three])
  t.same(await found('q=deb@quill.example'), [one, two])
  t.same(await found('q=%2B15551234567'), [one, two])
  t.same(await found('q=partners'), [one, two])
  t.same(await found('q=nobody'), [])
  t.same(await found('contact.email=deb@quill.example'), [one, two])
  t.same(await found('contact.company[like]=quill'), [one, two])
  t.same(await found('contact.company[null]=true'), [three], 'a lead without a contact has none')
  t.same(await found('contact.last_name[in]=Stone,Quill&contact.first_name=Deborah&q=stone'), [
    three
  ])
  t.same(await found(`contact.created_at[lt]=2020-01-01`), [])
  t.equal((await call('GET /api/leads?contact.nonsense=1')).statusCode, 400)
  t.equal((await call('GET /api/leads?contact.email[like]=')).statusCode, 400)
  const first = (await call('GET /api/leads?q=deborah&limit=2')).json()
  t.same(
    (await call(`GET /api/leads?q=deborah&limit=2&cursor=${first.next_cursor}`)).json().data.length,
    1,
    'page by page'
  )

  await t.test('and by filters of it in a stored filter that a list answers', async t => {
    const { id } = (await call('POST /api/campaigns', { name: 'Fair' })).json()
    const added = await call(`POST /api/campaigns/${id}/members`, {
      resource: 'leads',
      filter: 'contact.company[like]=quill'
    })
    t.match(added.json(), { added: 2, pending: false })
    const refused = await call('POST /api/assignment-rules', {
      name: 'Rule',
      resource: 'leads',
      filter: 'contact.company=Quill',
      user_id: 1
    })
    t.match([refused.statusCode, refused.json().errors[0]], [422, { pointer: '/filter' }])
    t.match(refused.json().detail, /contact\.company/, 'a rule for new leads refuses them by name')
  })

  await call(`DELETE /api/contacts/${stone.id}`)
  t.same(await found('q=stone'), [], 'a deleted contact does not count')
})

t.test('contacts are assigned to users', async t => {
  const { call, admin, user } = await organization(app)
  const { user: seller } = await user('user')
  const one = await contact(call, { assigned_to: admin.user.id })
  await contact(call, { assigned_to: seller.id })
  await contact(call, {})
  const found = async (query: string) =>
    (await call(`GET /api/contacts?${query}`)).json().data as Row[]
  t.match(await found('mine=true'), [{ id: one.id }])
  t.equal((await found('mine=true')).length, 1)
  t.equal((await found('mine=false')).length, 2)
  t.equal((await found('assigned_to[null]=true')).length, 1)
  t.match(await found(`assigned_to=${admin.user.id}&include=assigned_to`), [
    {
      included: {
        assigned_to: summaryOf(admin.user)
      }
    }
  ])
  t.equal(
    (await call('POST /api/contacts', { first_name: 'A', last_name: 'B', assigned_to: 999_999 }))
      .statusCode,
    422
  )
})
