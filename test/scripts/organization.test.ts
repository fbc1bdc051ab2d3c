import postgres from 'postgres'
import t from 'tap'
import { database, settingsOf } from '../support/app.ts'
import { folder, run, start, type Env } from '../support/process.ts'

const password = 'a quiet harbour 47'
const create = async (env: Env, args: string[], input = '') =>
  await run(process.execPath, ['scripts/organization.ts', ...args], { env, input })

type Process = Awaited<ReturnType<typeof start>>
/** Logs in, and returns what sends requests as that user. */
async function as({ send }: Process, username: string, secret: string) {
  const answer = await send('POST /api/auth/login', { username, password: secret })
  const { token } = (await answer.json()) as { token: string }
  const headers = { authorization: `Bearer ${token}` }
  return {
    status: answer.status,
    send: async (request: string, body?: object) => await send(request, body, headers),
    list: async (path: string) =>
      ((await (await send(`GET ${path}`, undefined, headers)).json()) as { data: object[] }).data
  }
}

t.test('a second organization is created beside a running server', async t => {
  const env = { DATA_DIR: folder(t), ADMIN_PASSWORD: password }
  const server = await start(t, env)
  const created = await create(env, ['--name', 'Acme', '--admin', 'anna'])
  t.equal(created.code, 0, created.output)
  const generated =
    /^Organization +Acme \(acme, \d+\)\nAdmin +anna +password: (\S{16}) +\(shown only now\)\n/.exec(
      created.output
    )?.[1]
  const [first, anna] = [
    await as(server, 'admin@example.com', password),
    await as(server, 'anna', generated ?? '')
  ]
  t.equal(anna.status, 200, 'its admin logs in with the password that was printed')

  await t.test('it has a default pipeline with stages of its own', async t => {
    t.match(await anna.list('/api/pipelines?include=stages'), [
      { name: 'Sales', is_default: true, included: { stages: { length: 6 } } }
    ])
    t.equal((await anna.send('POST /api/opportunities', { title: 'Sale' })).status, 201)
  })

  await t.test('its admin creates users', async t => {
    const user = { username: 'ben', email: 'ben@acme.example', password, role: 'user' }
    t.equal((await anna.send('POST /api/users', user)).status, 201)
    t.equal((await as(server, 'ben', password)).status, 200)
  })

  await t.test('the two do not see each other', async t => {
    const contact = { first_name: 'A', last_name: 'B' }
    const made = await first.send('POST /api/contacts', contact)
    const { id } = (await made.json()) as { id: number }
    t.equal((await anna.send(`GET /api/contacts/${id}`)).status, 404)
    t.same(await anna.list('/api/contacts'), [])
    t.match(await anna.list('/api/users?sort=id'), [{ username: 'anna' }, { username: 'ben' }])
    t.same((await anna.list('/api/users')).length, 2)
    t.match(await first.list('/api/users'), [{ username: 'admin@example.com' }])
    t.same(await first.list('/api/opportunities'), [])
  })
})

t.test('in a given database', async t => {
  const database_url = await database(t)
  const env = settingsOf(database_url)
  const sql = postgres(database_url, { max: 1 })
  t.teardown(() => sql.end())
  const counts = async () =>
    (
      await sql`select (select count(*)::int from organizations) as organizations,
        (select count(*)::int from users) as users,
        (select count(*)::int from pipelines) as pipelines`
    )[0]

  await t.test('the password can come from the standard input or the arguments', async t => {
    const read = await create(
      env,
      ['--name', 'A', '--admin', 'anna', '--password', '-'],
      `${password}\n`
    )
    const given = await create(env, [
      '--name',
      'B',
      '--admin',
      'ben@b.example',
      '--password',
      password
    ])
    t.notMatch(read.output + given.output, password, 'and is not printed')
    const server = await start(t, env)
    t.equal((await as(server, 'anna', password)).status, 200)
    t.equal((await as(server, 'ben@b.example', password)).status, 200)
  })

  await t.test('a name that another organization has is free', async t => {
    const before = await counts()
    const both = await Promise.all(
      ['anna', 'ANNA'].map(async admin => await create(env, ['--name', 'A', '--admin', admin]))
    )
    for (const { code, output } of both) {
      t.equal(code, 0, output)
      t.match(output, /^Organization +A \(a-\d+, \d+\)\n/)
    }
    t.same(await counts(), {
      organizations: before!.organizations + 2,
      users: before!.users + 2,
      pipelines: before!.pipelines + 2
    })
    const reset = async (args: string[]) =>
      await run(process.execPath, ['scripts/password.ts', 'anna', ...args], { env })
    t.match(await reset([]), {
      code: 1,
      output: /^Several organizations have a user anna\. Name one with .+: a, a-\d+, a-\d+\n$/
    })
    const ofAnna = sql`organization_id = (select id from organizations where slug = 'a')
      and username = 'anna'`
    await sql`update users set second_factor_since = now() where ${ofAnna}`
    const hasSecondFactor = async () =>
      (await sql`select from users where second_factor_since is not null and ${ofAnna}`).length > 0
    t.match(await reset(['--organization', 'a']), { code: 0, output: /^anna +password: / })
    t.ok(await hasSecondFactor(), 'a new password leaves the second factor')
    const lost = ['--organization', 'a', '--without-second-factor']
    t.match(await reset(lost), { code: 0, output: /^anna +password: / })
    t.notOk(await hasSecondFactor())
  })

  await t.test('what is missing or invalid is named in one line', async t => {
    for (const [args, line] of [
      [[], '--name must have between 1 and 200 characters'],
      [['--name', ' ', '--admin', 'x'], '--name must have between 1 and 200 characters'],
      [
        ['--name', 'x'.repeat(201), '--admin', 'x'],
        '--name must have between 1 and 200 characters'
      ],
      [['--name', 'X'], '--admin must be the user name of the first admin'],
      [
        ['--name', 'X', '--admin', ' x'],
        '--admin must have at most 80 characters and no leading or trailing space'
      ],
      [
        ['--name', 'X', '--admin', 'x', '--password', 'short'],
        '--password must have 8 to 128 characters'
      ],
      [['--nam', 'X'], "Unknown option '--nam': see npm run organization -- --help"]
    ] as const)
      t.same(await create(env, [...args]), { code: 1, output: `${line}\n` })
    t.match(await create(env, ['--help']), { code: 0, output: /^Usage: [^]*--admin/ })
  })
})
