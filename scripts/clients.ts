// Generates clients from openapi/openapi.json as other teams do, in a temporary folder, and
// compiles them. Exits with 1 if that fails.
import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

// hey-api needs the TypeScript that still has an API
const packages = [
  'orval@8.38.0',
  '@hey-api/openapi-ts@0.99.0',
  'swagger-typescript-api@13.13.0',
  'typescript@5.9.3',
  'openapi-typescript@7.13.0',
  'openapi-fetch@0.17.0',
  'zod@4.6.7'
]
const generators = [
  'orval --input openapi.json --output clients/orval.ts --client fetch',
  'openapi-ts --input openapi.json --output clients/hey-api --client @hey-api/client-fetch ' +
    '--plugins @hey-api/typescript @hey-api/sdk zod --no-log-file',
  'swagger-typescript-api generate --path openapi.json --output clients --name swagger.ts',
  'openapi-typescript openapi.json --output clients/crm.ts'
]
const options =
  '--strict --noEmit --target esnext --module preserve --allowImportingTsExtensions ' +
  '--lib esnext,dom,dom.iterable'

const tsc = path.resolve('node_modules/.bin/tsc')
const folder = mkdtempSync(path.join(tmpdir(), 'smartx-clients-'))
process.on('exit', () => {
  rmSync(folder, { recursive: true })
})

copyFileSync('openapi/openapi.json', path.join(folder, 'openapi.json'))
run(
  'npm',
  'install',
  '--ignore-scripts',
  '--no-audit',
  '--no-fund',
  '--loglevel=error',
  ...packages
)
for (const generator of generators) {
  console.log(`-- ${generator}`)
  const [command, ...args] = generator.split(' ')
  run(`node_modules/.bin/${command}`, ...args)
}

// the example of the README, in whose place there is a token
const [, example] = /^```typescript\n([^]*?)^```$/m.exec(readFileSync('README.md', 'utf8'))!
writeFileSync(path.join(folder, 'clients/readme.ts'), `declare const token: string\n${example}`)

const sources = readdirSync(path.join(folder, 'clients'), { recursive: true, encoding: 'utf8' })
  .filter(name => name.endsWith('.ts'))
  .map(name => path.join('clients', name))
console.log(`-- tsc --strict: ${sources.length} files`)
run(tsc, ...options.split(' '), ...sources)
for (const name of sources)
  if (readFileSync(path.join(folder, name), 'utf8').includes('\0')) fail(`${name} contains NUL`)

function run(command: string, ...args: string[]): void {
  const { status, error } = spawnSync(command, args, { cwd: folder, stdio: 'inherit' })
  if (status !== 0) fail(`${command} failed: ${error?.message ?? status}`)
}

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}
