// Writes openapi/openapi.json from the schemas of the routes, and openapi/postman.json from that.
// With --check, it writes nothing and exits with 1 if a file is out of date, or if the document
// breaks clients of the last commits.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { pino } from 'pino'
import { buildApp } from '../src/app.ts'
import { version } from '../src/version.ts'
import { breakingChanges, type Document } from './breaking.ts'
import { formatDocument } from './openapi/format.ts'
import { collectionOf, type Document as Described } from './openapi/postman.ts'

interface Accepted {
  version: string
  pattern: string
}

const file = 'openapi/openapi.json'
const acceptedFile = 'openapi/accepted-breaking-changes.json'
const text = formatDocument(await buildDocument())
const files = {
  [file]: text,
  'openapi/postman.json': formatDocument(collectionOf(JSON.parse(text) as Described))
}

if (!process.argv.includes('--check'))
  for (const [name, content] of Object.entries(files)) writeFileSync(name, content)
else {
  for (const [name, content] of Object.entries(files))
    if (!existsSync(name) || readFileSync(name, 'utf8') !== content)
      fail(`${name} is out of date. Run npm run openapi and commit it.`)
  // in CI, HEAD has the new document already, and its parent the one to compare with
  for (const commit of ['HEAD', 'HEAD^']) {
    const committed = readDocument(commit)
    const changes = committed ? breakingChanges(committed, JSON.parse(text) as Document) : []
    const lines = changes.filter(line => !isAccepted(line)).map(line => `  ${line}`)
    if (lines.length > 0) fail(`${file} breaks clients of ${commit}:\n${lines.join('\n')}`)
  }
}

/** Whether a breaking change is intended in this version; CHANGELOG.md describes those. */
function isAccepted(line: string): boolean {
  const accepted = JSON.parse(readFileSync(acceptedFile, 'utf8')) as Accepted[]
  return accepted.some(
    change => change.version === version && new RegExp(change.pattern).test(line)
  )
}

/** Builds the document from the routes of an app that connects to no database. */
async function buildDocument(): Promise<object> {
  const app = await buildApp(
    {
      database_url: 'postgres://127.0.0.1/none',
      redis_url: undefined,
      jwt_secret: 'an unused secret of at least 32 bytes',
      cors_origins: [],
      trust_proxy: [],
      rate_limit_max: 1,
      rate_limit_organization_max: 1,
      password_cost: { memory: 8, passes: 1 }
    },
    pino({ level: 'silent' })
  )
  await app.ready()
  const document = app.swagger()
  await app.close()
  return document
}

/** Reads the document of a commit; undefined if there is none. */
function readDocument(commit: string): Document | undefined {
  try {
    return JSON.parse(
      execFileSync('git', ['show', `${commit}:${file}`], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
        maxBuffer: 64e6
      })
    ) as Document
  } catch {
    return undefined
  }
}

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}
