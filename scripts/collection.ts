// Runs the Postman collection with Newman against an API with new data. Exits with 1 unless every
// request succeeds.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const newman = 'newman@6.2.2'
const file = 'openapi/postman.json'
const { variable } = JSON.parse(readFileSync(file, 'utf8')) as {
  variable: { key: string; value: string }[]
}

const folder = mkdtempSync(path.join(tmpdir(), 'smartx-collection-'))
const api = spawn(process.execPath, ['src/main.ts'], {
  stdio: ['ignore', 'pipe', 'inherit'],
  env: {
    PATH: process.env.PATH,
    DATA_DIR: folder,
    PORT: '0',
    ADMIN_PASSWORD: variable.find(({ key }) => key === 'password')!.value,
    LOG_LEVEL: 'warn',
    SIGNUP: 'open'
  }
})
const apiEnded = once(api, 'close')
const address = await Promise.race([listening(), apiEnded.then(() => undefined)])
process.exitCode = address === undefined ? 1 : await runCollection(address)
api.kill()
await apiEnded
rmSync(folder, { recursive: true })

/** Waits until the API has printed where it listens. */
async function listening(): Promise<string> {
  let output = ''
  return await new Promise(resolve => {
    api.stdout.on('data', data => {
      output += String(data)
      const address = /SmartX CRM API +(\S+)[^]*curl/.exec(output)?.[1]
      if (address !== undefined) resolve(address)
    })
  })
}

/** Returns the exit code of Newman. */
async function runCollection(address: string): Promise<number> {
  const args = ['run', file, '--bail', '--env-var', `baseUrl=${address}`, '--color', 'off']
  const run = spawn('npx', ['--yes', newman, ...args], { stdio: 'inherit' })
  const [code] = (await once(run, 'close')) as [number | null]
  return code ?? 1
}
