// Writes openapi/openapi.json from the schemas of the routes. With --check it writes nothing and ends with 1 if the file is
// not what the routes say, or if what they say breaks a client of the last commits.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { pino } from 'pino'
import { buildApp } from '../src/app.ts'
import { breakingChanges, type Document } from './breaking.ts'

const file = 'openapi/openapi.json'
const text = `${JSON.stringify(await documentOfRoutes(), null, 2)}\n`

if (!process.argv.includes('--check')) writeFileSync(file, text)
else if (!existsSync(file) || readFileSync(file, 'utf8') !== text)
  fail(`${file} is not what the routes say: run npm run openapi and commit it.`)
else {
  // in CI the file is committed already: there its parent has the contract that stands
  for (const commit of ['HEAD', 'HEAD^']) {
    const committed = documentAt(commit)
    const breaking =
      committed === undefined ? [] : breakingChanges(committed, JSON.parse(text) as Document)
    if (breaking.length > 0)
      fail(
        `${file} breaks clients of ${commit}; the contract only grows:\n${breaking.map(line => `  ${line}`).join('\n')}`
      )
  }
}

/** Nothing is connected to: the application connects when it is asked something. */
async function documentOfRoutes(): Promise<object> {
  const app = await buildApp(
    {
      database_url: 'postgres://127.0.0.1/none',
      redis_url: undefined,
      jwt_secret: 'no token is ever signed with this one',
      cors_origins: [],
      trust_proxy: [],
      rate_limit_max: 1,
      password_cost: { memory: 8, passes: 1 }
    },
    pino({ level: 'silent' })
  )
  await app.ready()
  const document = app.swagger()
  await app.close()
  return document
}

/** undefined where there is no such commit, or no document in it. */
function documentAt(commit: string): Document | undefined {
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
