// Runs the shell blocks of the README, and adds its new resource to a copy.
import { spawn, spawnSync } from 'node:child_process'
import {
  cpSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  mkdirSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'

const readme = readFileSync('README.md', 'utf8')
const blocks = [...readme.matchAll(/^```(\w+)(?: ([^\n]*))?\n([^]*?)^```$/gm)].map(
  ([, language, title = '', text]) => ({ language, title, text: text! })
)
const port = 20_000 + Math.floor(Math.random() * 20_000)

const folder = (t: Test) => {
  const name = mkdtempSync(path.join(tmpdir(), 'smartx-readme-'))
  t.teardown(() => {
    rmSync(name, { recursive: true, force: true })
  })
  return name
}

/** Runs `npm start` in a folder whose packages are installed. */
async function serve(t: Test, cwd: string, env: Record<string, string>) {
  const child = spawn('npm', ['start'], {
    cwd,
    detached: true,
    env: { ...process.env, PORT: String(port), ...env }
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', data => {
      output += String(data)
    })
  const ended = new Promise(resolve => {
    child.on('exit', resolve)
  })
  t.teardown(async () => {
    process.kill(-child.pid!, 'SIGTERM')
    await ended
  })
  for (let i = 0; i < 1500 && !output.includes('curl') && child.exitCode === null; i++)
    await sleep(20)
  if (!output.includes('curl')) throw new Error(output)
}

t.test('the tour works as written', async t => {
  const DATA_DIR = folder(t)
  const OUTBOUND_NETWORKS = '127.0.0.1'
  const env = { DATA_DIR, ADMIN_PASSWORD: 'a quiet harbour 47', OUTBOUND_NETWORKS }
  const receiver = path.resolve('node_modules/.cache/receiver.mjs') // where its package is found
  const { text: source } = blocks.find(({ title }) => title === 'receiver.mjs')!
  writeFileSync(receiver, source.replace('4000', String(port + 1)))
  await serve(t, '.', env)
  const tour = blocks
    .filter(({ language, title }) => language === 'sh' && title === '')
    .map(({ text }) => text)
  t.match(tour[0], /^npm ci && npm start\n$/, 'the first block has been run')
  t.match(tour[2], /^npm ci && npm test\n$/, 'the third block is being run')
  const script = [
    'set -euo pipefail',
    ...tour
      .filter((_, i) => i !== 0 && i !== 2)
      .map(
        (text, i) =>
          `echo "=== ${i}"\n` +
          text
            .replaceAll(':3000', `:${port}`)
            .replaceAll(':4000', `:${port + 1}`)
            .replaceAll('receiver.mjs', receiver)
            .replaceAll(/-o (\w+\.\w+)/g, '-o "$DATA_DIR/$1"')
      )
  ].join('\n')
  const ran = spawnSync('bash', ['-c', script], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
    timeout: 60_000
  })
  t.equal(ran.status, 0, ran.stdout.slice(-1500) + ran.stderr.slice(-1500))
  const outputs = ran.stdout.split(/=== \d+\n/)
  t.match(outputs[3], /HTTP\/1.1 201 Created[^]*etag: "1"/i)
  t.match(outputs[4], /"last_name":"Müller"/)
  t.match(outputs[5], /"position":"Buyer"[^]*refused, as it should be/)
  t.match(outputs[6], /"included":\{"contact"/)
  t.match(outputs[7], /"total":\d+/)
  t.ok(readFileSync(path.join(DATA_DIR, 'contacts.csv'), 'utf8').split('\n').length > 2000)
  t.match(outputs[9], /contact\.updated[^]*"version":2[^]*"version":4/)
  t.match(outputs[10], /"pointer":"\/first_name"[^]*"pointer":"\/email"|"pointer":"\/email"/)
  t.match(outputs[11], /"status":"completed"[^]*"included":\{"activities":\[\{"id":\d+/)
  t.match(outputs[12], /"included":\{"tags":\[\{"id"[^]*"tags":\[\][^]*"type":"lead"/)
  t.match(outputs[13], /"status":"qualified"/)
  t.match(outputs[14], /"type":"opportunity"[^]*"kind":"undo"[^]*"left":\[\]/)
  t.match(outputs[15], /"status":"open","probability":75[^]*"status":"won","probability":100/)
  t.match(outputs[15], /"from_stage":"negotiation","to_stage":"won"/)
  t.match(outputs[16], /"kind":"activity"[^]*"kind":"link"/)
  t.match(outputs[17], /"report":"pipeline"[^]*step,step_name,measure/)
  t.match(readFileSync(path.join(DATA_DIR, 'forecast.svg'), 'utf8'), /^<svg/)
  t.match(outputs[18], /"city":"Chicago"[^]*"city":"Boston"[^]*"erp":"A-42","shop":"9001"/)
  t.match(outputs[19], /"last_name":"Byron"[^]*"last_name":"Lovelace"[^]*"version":2/)
  t.match(outputs[20], /"data":\[\{"cursor":"\d+-\w+"[^]*"type":"contact\.updated"/)
  t.match(outputs[21], /event: ready[^]*"position":"Countess"/)
  t.match(outputs[22], /test_\d+ webhook\.tested/)
  t.match(outputs[22], /evt_\d+ contact\.created[^]*first_name: 'Grace'[^]*"status":"succeeded"/)
  t.match(ran.stdout, /"behind":\d+[^]*"kind":"access"|"behind":\d+[^]*"data":\[\]/)

  const another = blocks.find(({ title }) => title === 'organization')!.text
  const created = spawnSync('bash', ['-c', another], {
    env: { ...process.env, ...env },
    encoding: 'utf8'
  })
  t.match(
    created.stdout,
    /Organization +Acme \(acme, \d+\)\nAdmin +anna +password: /,
    created.stderr
  )
})

t.test('the new resource works as written', async t => {
  const copy = folder(t)
  for (const name of [
    'src',
    'drizzle',
    'scripts',
    'test/support',
    'openapi',
    'package.json',
    'tsconfig.json',
    '.npmrc'
  ])
    cpSync(name, path.join(copy, name), { recursive: true })
  symlinkSync(path.resolve('node_modules'), path.join(copy, 'node_modules'))
  for (const { title, text } of blocks.filter(({ language }) => language === 'ts')) {
    const file = path.join(copy, title)
    if (title === 'src/app.ts') {
      const [imported = '', registered = ''] = text.trimEnd().split('\n')
      writeFileSync(
        file,
        readFileSync(file, 'utf8')
          .replace(/^import users/m, `${imported}\nimport users`)
          .replace(/^ {2}await app\.register\(users/m, `${registered}\n  await app.register(users`)
      )
    } else {
      mkdirSync(path.dirname(file), { recursive: true })
      writeFileSync(file, text)
    }
  }
  const steps = blocks.find(({ title }) => title === 'new resource')!.text
  const ran = spawnSync(
    'bash',
    ['-euo', 'pipefail', '-c', `unset NODE_OPTIONS # those of tap\n${steps}\nnpx tsc --noEmit`],
    { cwd: copy, encoding: 'utf8', timeout: 100_000 }
  )
  t.equal(ran.status, 0, ran.stdout.slice(-1500) + ran.stderr.slice(-1500))

  await serve(t, copy, { DATA_DIR: folder(t), ADMIN_PASSWORD: 'a quiet harbour 47' })
  const ask = async (request: string, body?: object, token = '') => {
    const [method, url] = request.split(' ') as [string, string]
    return (await (
      await fetch(`http://127.0.0.1:${port}${url}`, {
        method,
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        ...(body && { body: JSON.stringify(body) })
      })
    ).json()) as Record<string, unknown>
  }
  const { token } = await ask('POST /api/auth/login', {
    username: 'admin@example.com',
    password: 'a quiet harbour 47'
  })
  t.match(await ask('POST /api/products', { name: 'License', price: 49.9 }, token as string), {
    id: 1,
    name: 'License',
    price: 49.9,
    version: 1
  })
  t.match(await ask('GET /api/products?q=lice&sort=-price', undefined, token as string), {
    data: [{ id: 1 }]
  })
  t.match(await ask('GET /api/products/1/history', undefined, token as string), {
    data: [{ type: 'product.created', actor_id: 1 }]
  })
  t.match(readFileSync(path.join(copy, 'openapi/openapi.json'), 'utf8'), /"createProduct"/)
})
