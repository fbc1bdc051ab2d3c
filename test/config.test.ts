import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { configFrom } from '../src/config.ts'
import { databaseUrl } from './support/app.ts'
import { type Env, start, run, folder } from './support/process.ts'

t.test('an invalid setting is named', t => {
  const url = 'postgres://localhost/x'
  for (const [name, env] of [
    ['PORT', { PORT: 'http' }],
    ['PORT', { PORT: '70000' }],
    ['JWT_SECRET', { DATABASE_URL: url }],
    ['JWT_SECRET', { JWT_SECRET: 'short' }],
    ['DATABASE_URL', { DATABASE_URL: 'mysql://x' }],
    ['DATABASE_MIGRATION_URL', { DATABASE_MIGRATION_URL: url }],
    [
      'DATABASE_MIGRATION_URL',
      { DATABASE_URL: url, JWT_SECRET: 'x'.repeat(32), DATABASE_MIGRATION_URL: 'x' }
    ],
    ['REDIS_URL', { REDIS_URL: 'localhost' }],
    ['PUBLIC_URL', { PUBLIC_URL: 'crm.example.com' }],
    ['SIGNUP', { SIGNUP: 'yes' }],
    ['SMTP_URL', { SMTP_URL: 'https://mail.example.com' }],
    ['MAIL_FROM', { SMTP_URL: 'smtp://localhost' }],
    ['MAIL_FROM', { SMTP_URL: 'smtp://localhost', MAIL_FROM: 'CRM' }],
    ['MAIL_FROM', { MAIL_FROM: 'CRM\r\nBcc: a@example.com <crm@example.com>' }],
    ['APP_URL', { APP_URL: 'app.example.com' }],
    ['CORS_ORIGINS', { CORS_ORIGINS: '*' }],
    ['CORS_ORIGINS', { CORS_ORIGINS: 'https://a.example.com/path' }],
    ['TRUST_PROXY', { TRUST_PROXY: 'true' }],
    ['OUTBOUND_NETWORKS', { OUTBOUND_NETWORKS: '10.0.0.1/8' }],
    ['OUTBOUND_NETWORKS', { OUTBOUND_NETWORKS: '127.0.0.1,localhost' }],
    ['RATE_LIMIT_MAX', { RATE_LIMIT_MAX: '0' }],
    ['RATE_LIMIT_ORGANIZATION_MAX', { RATE_LIMIT_ORGANIZATION_MAX: 'none' }],
    ['SLOW_STATEMENTS', { SLOW_STATEMENTS: '0' }],
    ['LOG_LEVEL', { LOG_LEVEL: 'loud' }],
    ['DRAIN_SECONDS', { DRAIN_SECONDS: '-1' }],
    ['ADMIN_PASSWORD', { ADMIN_PASSWORD: 'short' }],
    ['ADMIN_PASSWORD', { ADMIN_PASSWORD: 'Admin@Example.com' }],
    ['ADMIN_PASSWORD', { ADMIN_USERNAME: 'harborkeeper', ADMIN_PASSWORD: 'HarborKeeper ' }]
  ] as [string, Env][]) {
    t.throws(
      () => configFrom(env),
      { message: new RegExp(`^${name} (?!.*short)[^\n]+$`) },
      JSON.stringify(env)
    )
  }
  t.end()
})

t.test('behind a proxy, five seconds are left to notice a stop; without one, one', t => {
  t.equal(configFrom({}).drain_seconds, 1)
  t.equal(configFrom({ TRUST_PROXY: '10.0.0.0/8' }).drain_seconds, 5)
  t.equal(configFrom({ TRUST_PROXY: '10.0.0.0/8', DRAIN_SECONDS: '0' }).drain_seconds, 0)
  t.end()
})

t.test('an organization has ten times the limit of a user, if nothing else is set', t => {
  const limitOf = (env: Env) => configFrom(env).rate_limit_organization_max
  t.equal(limitOf({}), 100_000)
  t.equal(limitOf({ RATE_LIMIT_MAX: '500' }), 5_000)
  t.equal(limitOf({ RATE_LIMIT_MAX: '100000000' }), 100_000_000, 'at most the highest one')
  t.equal(limitOf({ RATE_LIMIT_MAX: '500', RATE_LIMIT_ORGANIZATION_MAX: '800' }), 800)
  t.end()
})

t.test('a sender is an address, or a name with one', t => {
  const SMTP_URL = 'smtps://crm:secret@mail.example.com'
  for (const [MAIL_FROM, name, address] of [
    ['crm@example.com', '', 'crm@example.com'],
    ['Müller & Söhne, CRM <crm@müller.example>', 'Müller & Söhne, CRM', 'crm@müller.example']
  ] as const)
    t.same(configFrom({ SMTP_URL, MAIL_FROM }).mail, {
      smtp_url: SMTP_URL,
      from: { name, address },
      app_url: undefined
    })
  t.equal(configFrom({ MAIL_FROM: 'crm@example.com' }).mail, undefined)
  t.end()
})

t.test('the first admin has a valid email address, whatever the name', t => {
  const emailOf = (ADMIN_USERNAME: string) => configFrom({ ADMIN_USERNAME }).admin.email
  t.equal(emailOf('maria'), 'maria@example.com')
  t.equal(emailOf('maria@crm.example'), 'maria@crm.example')
  t.equal(emailOf('Jörg O. Meier'), 'J-rg-O.-Meier@example.com')
  t.end()
})

t.test('an invalid setting stops the start with one line', async t => {
  const refused = await Promise.all(
    [{ PORT: 'http' }, { JWT_SECRET: 'short' }].map(env => start(t, env as Env))
  )
  t.same(
    refused.map(({ child }) => child.exitCode),
    [1, 1]
  )
  t.same(
    refused.map(({ output }) => output()),
    [
      'PORT must be an integer between 0 and 65535, not "http"\n',
      'JWT_SECRET must have at least 32 bytes, not 5\n'
    ]
  )
})

t.test('a DATA_DIR that cannot be used stops the start at once with one line', async t => {
  const data_dir = folder(t)
  const link = `${data_dir}-link`
  symlinkSync('nowhere', link)
  const file = `${data_dir}-file`
  writeFileSync(file, '')
  const long = path.join(path.dirname(data_dir), 'x'.repeat(300))
  const isLinux = process.platform === 'linux'
  for (const [DATA_DIR, code] of [
    ...(isLinux ? [['/proc/x', 'ENOENT'] as const] : []),
    ['/dev/null', 'ENOTDIR'],
    [file, 'ENOTDIR'],
    [`${file}/below`, 'ENOTDIR'],
    [link, 'ENOENT'],
    [long, 'ENAMETOOLONG']
  ] as const) {
    const refused = await start(t, { DATA_DIR })
    t.equal(await refused.ended, 1)
    const [line, ...more] = refused.output().split('\n')
    t.match(line, new RegExp(`^DATA_DIR ${DATA_DIR} cannot be used: ${code}: .`))
    t.same(more, [''], 'one line')
  }
})

t.test('an unusable Postgres is named without its password', async t => {
  const refusal = async (DATABASE_URL: string) => {
    const refused = await start(t, { DATABASE_URL, JWT_SECRET: 'x'.repeat(32) })
    t.equal(await refused.ended, 1)
    return refused.output()
  }
  t.equal(
    await refusal('postgres://smartx:hidden@127.0.0.1:1/x'),
    'Postgres at 127.0.0.1:1 is unreachable: ECONNREFUSED\n'
  )
  t.match(
    await refusal(databaseUrl('nowhere')),
    /^Postgres at .*:5432 refused the connection: database "nowhere" does not exist\n$/
  )
})

t.test('the commands read .env', async t => {
  const cwd = path.dirname(folder(t))
  for (const name of ['package.json', 'src', 'scripts', 'drizzle', 'node_modules'])
    symlinkSync(path.resolve(name), path.join(cwd, name))
  writeFileSync(path.join(cwd, '.env'), 'LOG_LEVEL=loud\n')
  await Promise.all(
    [['start'], ['run', 'migrate'], ['run', 'seed'], ['run', 'password', '--', 'somebody']].map(
      async args => {
        t.match(
          await run('npm', args, { cwd }),
          { code: 1, output: /^LOG_LEVEL must be one of/m },
          args.join(' ')
        )
      }
    )
  )
})

t.test('.env.example names every setting and no other', t => {
  const named = [...readFileSync('.env.example', 'utf8').matchAll(/^#? ?([A-Z_]+)=/gm)].map(
    ([, name]) => name!
  )
  const read = [
    ...readFileSync('src/config.ts', 'utf8').matchAll(/(?:env\.|env, ')([A-Z_]+)/g)
  ].map(([, name]) => name!)
  t.same(
    [...new Set(named)].filter(name => !/^POSTGRES_(APP_)?PASSWORD$/.test(name)).toSorted(),
    [...new Set(read)].toSorted()
  )
  t.end()
})
