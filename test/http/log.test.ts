import { pino } from 'pino'
import { prettyFactory } from 'pino-pretty'
import t from 'tap'
import { terminalFormat } from '../../src/http/log.ts'
import { application, caller, organization, ownerOf } from '../support/app.ts'

const lines: string[] = []
const logger = pino({ level: 'info' }, { write: line => void lines.push(line) })
const app = await application(t, {}, logger)
const { call } = await organization(app)
const print = prettyFactory({ ...terminalFormat, colorize: false })
const written = async (request: () => Promise<unknown>) => {
  lines.length = 0
  await request()
  return lines
}

t.test('a request is one line of JSON', async t => {
  const [line, ...more] = await written(async () => await call('GET /api/contacts?q=secret'))
  t.same(more, [])
  t.match(JSON.parse(line!), {
    msg: 'request',
    method: 'GET',
    path: '/api/contacts',
    status: 200,
    ms: Number,
    user_id: Number,
    request_id: String
  })
})

t.test('X-Forwarded-For without a trusted proxy is a warning, once', async t => {
  const warnings = async (trust_proxy: string[]) => {
    const proxied = caller(await application(t, { trust_proxy }, logger))
    const messages = await written(async () => {
      for (let i = 0; i < 3; i++)
        await proxied('GET /api/problems', undefined, { 'x-forwarded-for': '10.0.0.1' })
    })
    return messages.map(line => JSON.parse(line).msg).filter(message => message !== 'request')
  }
  const [warning, ...more] = await warnings([])
  t.match(warning, /^A request from 127\.0\.0\.1 has X-Forwarded-For, but TRUST_PROXY is empty/)
  t.same(more, [])
  t.same(await warnings(['127.0.0.1']), [])
})

t.test('on a terminal, a request is one line with its method, path, status and time', async t => {
  const [line] = await written(async () => await call('GET /api/contacts?q=secret'))
  t.match(print(line!), /^\[\d\d:\d\d:\d\d\] INFO: GET \/api\/contacts 200 [\d.]+ ms \([\w-]+\)\n$/)
  app.draining = true
  const [refused, ...more] = await written(async () => await caller(app)('GET /readyz'))
  app.draining = false
  t.same(more, [], 'a stop that was requested is no error')
  t.match(
    print(refused!),
    /^\S+ INFO: GET \/readyz 503 [\d.]+ ms The service is shutting down\. \([\w-]+\)\n$/
  )
})

t.test('on a terminal, an error has its request ID and its stack', async t => {
  await ownerOf(app)`alter table contacts rename column phone to telephone`
  const [failed, request] = await written(async () => await call('GET /api/contacts'))
  t.match(print(failed!), /^\S+ ERROR: failed \([\w-]+\)\n[^]*column[^]*\n +at /)
  t.match(print(request!), /^\S+ INFO: GET \/api\/contacts 500 [^\n]+\n$/)
})
