import t from 'tap'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { application, organization } from '../support/app.ts'

const app = await application(t)
const { call, admin } = await organization(app)
const contact = { first_name: 'Zoë', last_name: 'Müller', position: '=1+1' }
await call('POST /api/contacts', contact)
const paths = ['/api/contacts', '/api/contacts/1', '/api/leads?limit=1', '/api/reports/pipeline']

/** What browsers and clients send when they would take JSON. */
const acceptsJson = [
  'application/json; charset=utf-8',
  'application/json;charset="utf-8"',
  'APPLICATION/JSON',
  'Application/Json;Charset=UTF-8;q=0.9',
  '*/*;q=0.8',
  '*/* ; q=0.1',
  'application/*',
  'application/*;q=0.5, text/plain',
  'text/plain, */*',
  'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8',
  'application/json, text/javascript, */*; q=0.01',
  'application/vnd.api+json, application/json',
  '',
  ' ',
  ', ,',
  'text/csv;q=0.5, application/json',
  'text/csv;q=0, */*'
]

t.test('a media range that includes JSON gets JSON', async t => {
  for (const path of paths)
    for (const accept of acceptsJson) {
      const { statusCode, headers } = await call(`GET ${path}`, undefined, { accept })
      t.match(
        [statusCode, headers['content-type']],
        [200, /^application\/json/],
        `${path} ${accept}`
      )
    }
})

t.test('parameters, case and ranges select other formats as well', async t => {
  for (const accept of [
    'text/csv; charset=utf-8',
    'TEXT/CSV',
    'text/csv; header=present',
    'text/csv;header="present, always";q=0.9, application/json;q=0.5',
    'text/*',
    'application/json;q=0.1, text/csv'
  ]) {
    for (const path of ['/api/contacts', '/api/reports/pipeline']) {
      const { headers } = await call(`GET ${path}`, undefined, { accept })
      t.match(headers['content-type'], /^text\/csv/, `${path} ${accept}`)
    }
  }
  const ndjson = await call('GET /api/contacts', undefined, { accept: 'Application/X-NDJSON' })
  t.match(ndjson.headers['content-type'], /^application\/x-ndjson/)
  const svg = await call('GET /api/reports/pipeline', undefined, { accept: 'image/*' })
  t.match(svg.headers['content-type'], /^image\/svg\+xml/)
})

t.test('a format that there is not is a 406 that lists the formats', async t => {
  for (const accept of ['application/xml', 'text/html', 'image/png;q=1', 'json', '*/*;q=0'])
    for (const path of ['/api/contacts', '/api/reports/pipeline']) {
      const { statusCode, json } = await call(`GET ${path}`, undefined, { accept })
      t.match(
        [statusCode, json().detail],
        [406, /application\/json, text\/csv/],
        `${path} ${accept}`
      )
    }
})

t.test('CSV is a file with a name, with a byte order mark on request', async t => {
  const csv = async (path: string) => await call(`GET ${path}`, undefined, { accept: 'text/csv' })
  const list = await csv('/api/contacts')
  t.equal(list.headers['content-disposition'], 'attachment; filename="contacts.csv"')
  t.match(
    list.rawPayload.subarray(0, 3).toString('hex'),
    /^(?!efbbbf)/,
    'without a mark by default'
  )
  const report = await csv('/api/reports/pipeline')
  t.equal(report.headers['content-disposition'], 'attachment; filename="pipeline-report.csv"')
  for (const path of ['contacts', 'contacts?limit=1', 'campaign-members', 'reports/pipeline']) {
    const marked = await csv(`/api/${path}${path.includes('?') ? '&' : '?'}bom=true`)
    t.equal(marked.rawPayload.subarray(0, 3).toString('hex'), 'efbbbf', path)
  }
  const json = await call('GET /api/contacts?bom=true')
  t.equal(json.headers['content-disposition'], undefined, 'JSON has neither')
  t.match(json.json(), { data: [{ last_name: 'Müller' }] })
})

const send = async (url: string, headers: Record<string, string>) =>
  await app.inject({ url, headers: { authorization: `Bearer ${admin.token}`, ...headers } })

t.test('large responses are compressed as the client prefers', async t => {
  for (let i = 0; i < 20; i++) await call('POST /api/contacts', contact)
  const plain = await send('/api/contacts', {})
  t.equal(plain.headers['content-encoding'], undefined)
  t.match(plain.headers.vary, /Accept-Encoding/i)
  for (const [accepted, encoding, decompress] of [
    ['gzip', 'gzip', gunzipSync],
    ['br', 'br', brotliDecompressSync],
    ['gzip, deflate, br', 'br', brotliDecompressSync],
    ['br;q=0.1, gzip', 'gzip', gunzipSync]
  ] as const) {
    for (const accept of ['application/json', 'text/csv', 'application/x-ndjson']) {
      const whole = await send('/api/contacts', { accept })
      const packed = await send('/api/contacts', { accept, 'accept-encoding': accepted })
      t.equal(packed.headers['content-encoding'], encoding, `${accept} ${accepted}`)
      t.ok(packed.rawPayload.length < whole.rawPayload.length / 2, 'it is smaller')
      t.equal(decompress(packed.rawPayload).toString(), whole.body, 'it is the same text')
    }
  }
  for (const refused of ['identity', 'gzip;q=0', 'compress'])
    t.equal(
      (await send('/api/contacts', { 'accept-encoding': refused })).headers['content-encoding'],
      undefined,
      refused
    )
})

t.test(
  'reports, histories, timelines and the document are compressed, records are not',
  async t => {
    const { id } = (await call('POST /api/contacts', contact)).json()
    for (let i = 0; i < 9; i++) await call(`PATCH /api/contacts/${id}`, { position: `Head ${i}` })
    const encodingOf = async (url: string) => {
      const { statusCode, headers } = await send(url, { 'accept-encoding': 'gzip' })
      t.equal(statusCode, 200, url)
      return headers['content-encoding']
    }
    for (const path of ['/history', '/timeline'])
      t.equal(await encodingOf(`/api/contacts/${id}${path}`), 'gzip', path)
    t.equal(await encodingOf('/api/reports/funnel'), 'gzip')
    t.equal(await encodingOf('/openapi.json'), 'gzip')
    const long = { type: 'note', subject: 'Minutes', description: 'A long text. '.repeat(200) }
    const note = (await call('POST /api/activities', long)).json()
    const packed = await send(`/api/activities/${note.id}`, { 'accept-encoding': 'gzip' })
    t.match(packed.headers, { 'content-encoding': undefined, etag: '"1"' })
  }
)
