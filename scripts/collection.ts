// Runs the Postman collection with Newman against an API with new data. Exits with 1 unless every
// request succeeds.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const newman = 'newman@6.2.2'
const file = 'openapi/postman.json'
const collection = JSON.parse(readFileSync(file, 'utf8')) as {
  variable: { key: string; value: string }[]
}
const password = collection.variable.find(({ key }) => key === 'password')!.value

const folder = mkdtempSync(path.join(tmpdir(), 'smartx-collection-'))
const api = spawn(process.execPath, ['src/main.ts'], {
  stdio: ['ignore', 'pipe', 'inherit'],
  env: {
    PATH: process.env.PATH,
    DATA_DIR: folder,
    PORT: '0',
    ADMIN_PASSWORD: password,
    LOG_LEVEL: 'warn'
  }
})
const ended = new Promise(resolve => {
  api.on('close', resolve)
})
const address = await addressOf(api.stdout)
const run = spawnSync(
  'npx',
  [
    '--yes',
    newman,
    'run',
    file,
    '--bail',
    '--env-var',
    `baseUrl=${address}`,
    ...process.argv.slice(2)
  ],
  { stdio: 'inherit' }
)
api.kill()
await ended
rmSync(folder, { recursive: true })
process.exit(run.status ?? 1)

/** Where the API listens, by what it prints. */
async function addressOf(output: AsyncIterable<Buffer>): Promise<string> {
  let text = ''
  for await (const chunk of output) {
    text += String(chunk)
    const address = /SmartX CRM API +(\S+)[^]*curl/.exec(text)?.[1]
    if (address !== undefined) return address
  }
  throw new Error(`the API did not start: ${text}`)
}
