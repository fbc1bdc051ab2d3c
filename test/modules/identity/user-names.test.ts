// Names that look the same are the same, however they were typed.
import { hash } from '@node-rs/argon2'
import t from 'tap'
import { application, caller, organization, ownerOf, password } from '../../support/app.ts'
import { cleanName } from '../../../src/core/names.ts'

/** A hash of the password itself, as version 0.1 made them. */
const legacyHash = async (typed: string) =>
  await hash(typed, { memoryCost: 8, timeCost: 1, parallelism: 1 })

const app = await application(t, { signup: 'open' })
const anybody = caller(app)
const logIn = async (username: string, secret = password) =>
  (await anybody('POST /api/auth/login', { username, password: secret })).statusCode

t.test('a clean name has one form and nothing invisible', async t => {
  for (const [typed, clean] of [
    [' maria\t', 'maria'],
    ['ma\u200bri\u200da', 'maria'],
    ['\u202emaria\u202c', 'maria'],
    ['\ufeffmaria\u2060', 'maria'],
    ['mar\u00adia\ufe0f', 'maria'],
    ['ma\u0007ria\u2028', 'maria'],
    ['Jose\u0301', 'José'],
    ['\u3164\u2800\u200b ', ''],
    ['Maria von Trapp', 'Maria von Trapp'],
    ['مریم 李娜 अनु', 'مریم 李娜 अनु']
  ] as const)
    t.equal(cleanName(typed), clean, encodeURI(typed))
})

t.test('names are cleaned wherever they are set, and at the login', async t => {
  const { call } = await organization(app)
  const create = async (username: string, email: string) =>
    await call('POST /api/users', { username, email, password })
  const created = await create(' jose\u0301\u200b ', 'jose@example.com')
  t.match([created.statusCode, created.json()], [201, { username: 'josé' }])
  for (const typed of ['josé', 'JOSE\u0301', ' jo\u200bsé', 'josé\u202e', ' jose@example.com '])
    t.equal(await logIn(typed), 200, encodeURI(typed))
  t.match((await create('josé\u2060', 'other@example.com')).json(), {
    status: 409,
    errors: [{ pointer: '/username' }]
  })
  t.match((await create('\u200b\u2060', 'other@example.com')).json(), {
    status: 422,
    errors: [{ pointer: '/username' }]
  })
  const { id } = created.json()
  const changed = await call(`PATCH /api/users/${id}`, { username: 'pe\u200bpe\u0301 ' })
  t.equal(changed.json().username, 'pepé')
  t.equal((await call(`PATCH /api/users/${id}`, { username: '\u200b' })).statusCode, 422)

  const invited = await call('POST /api/invitations', { email: 'zoe@example.com' })
  const accepted = await anybody('POST /api/auth/invitations/accept', {
    token: invited.json().token,
    username: '\ufeffZoe\u0308',
    password
  })
  t.match(accepted.json(), { user: { username: 'Zoë' } })
  const signedUp = await anybody('POST /api/organizations', {
    name: 'Nova',
    admin: { username: 'ni\u00adna\u0303 ', email: 'nina@example.com', password }
  })
  t.match(signedUp.json(), { session: { user: { username: 'ninã' } } })

  const decomposed = 'rene\u0301@example.com'
  const byMail = await create(decomposed, decomposed)
  t.match(byMail.json(), { username: 'rené@example.com', email: 'rené@example.com' })
  for (const typed of [decomposed, decomposed.normalize('NFC')])
    t.equal(await logIn(typed), 200, 'an address is a name, too')
})

t.test('unknown names share a counter, however they are typed', async t => {
  const typed = ['ghost', 'gho\u200bst', ' ghost', 'ghost\u2060']
  const all = Array.from({ length: 30 }, async (_, i) => await logIn(typed[i % typed.length]!))
  t.equal((await Promise.all(all)).filter(status => status === 429).length, 10)
  await app.services.database.pool`delete from login_attempts`
})

t.test('a name from before is found as it is', async t => {
  const { user } = await organization(app)
  const me = await user('user')
  await ownerOf(app)`update users set username = ${'old\u200bname '} where id = ${me.user.id}`
  t.equal(await logIn('old\u200bname '), 200)
  t.equal(await logIn('oldname'), 401)
})

t.test('a name with invisible characters is no password of its owner', async t => {
  const { call } = await organization(app)
  const body = { username: 'harbor\u200bmaster', email: 'keeper@example.com' }
  for (const own of ['harbormaster', 'harbor\u2060master'])
    t.match((await call('POST /api/users', { ...body, password: own })).json(), {
      status: 422,
      errors: [{ pointer: '/password', params: { rule: 'own_name' } }]
    })
})

t.test('a password that was hashed as it was typed is hashed anew at the login', async t => {
  const { call, user } = await organization(app)
  const me = await user('user')
  const { username, id } = me.user
  const typed = 'a quiet ﬁsh — Zoe\u0308 47'
  const { pool } = app.services.database
  const legacy = await legacyHash(typed)
  await pool`update users set password_hash = ${legacy} where id = ${id}`
  const hashNow = async () =>
    (await pool`select password_hash from users where id = ${id}`)[0]!.password_hash as string
  t.equal(await logIn(username, typed.normalize('NFKC')), 401, 'it is known only as it was typed')
  t.equal(await logIn(username, 'another one'), 401)
  t.equal(await hashNow(), legacy)
  t.equal(await logIn(username, typed), 200)
  const anew = await hashNow()
  t.not(anew, legacy)
  for (const form of ['NFC', 'NFD', 'NFKC', 'NFKD'] as const)
    t.equal(await logIn(username, typed.normalize(form)), 200, form)
  t.equal(await hashNow(), anew, 'once')
  t.equal((await me.call('GET /api/auth/me')).statusCode, 200, 'no session ends')
  const [event] = (await call(`GET /api/users/${id}/history`)).json().data
  t.match(event, { changed: ['password_hash'] })
})
