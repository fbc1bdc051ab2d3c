// Everyone sees exactly the records that their roles, teams and shares let them reach, everywhere.
import { pino } from 'pino'
import t, { type Test } from 'tap'
import type { Action } from '../../../src/core/access/permissions.ts'
import { application, type App, type Call } from '../../support/app.ts'
import { documentOf, requiredQuery } from '../../support/document.ts'
import { atExternalId } from '../../support/plant.ts'
import { formatsOf } from '../../support/reads.ts'
import {
  buildWorld,
  isGranted,
  mayDo,
  ownedPaths,
  rightTo,
  types,
  variedField,
  type Person,
  type Thing,
  type Type,
  type World
} from '../../support/world.ts'

const logged: string[] = []
const log = pino({ level: 'error' }, { write: line => void logged.push(line) })
const app = await application(t, {}, log)
const first = Number(process.env.WORLDS_FROM ?? 1)
const worlds = Number(process.env.WORLDS ?? 3)

for (let seed = first; seed < first + worlds; seed++)
  t.test(`everyone reaches exactly what the model says (seed ${seed})`, async t => {
    const world = await buildWorld(app, seed)
    for (const person of world.people) {
      await assertLists(t, world, person)
      await assertExplained(t, world, person)
      await assertNothingLeaks(t, app, world, person)
    }
    for (const person of world.people) await assertWrites(t, world, person)
  })

const readable = (world: World, person: Person, type: Type) =>
  world.things.filter(thing => thing.type === type && mayDo(world, person, thing, 'read'))

async function assertLists(t: Test, world: World, person: Person): Promise<void> {
  for (const type of types) {
    const path = `/api/${ownedPaths[type]}`
    const answer = await person.call(`GET ${path}?count=exact&limit=200&sort=id`)
    if (!isGranted(person, type, 'read')) {
      t.equal(answer.statusCode, 403, path)
      continue
    }
    const expected = readable(world, person, type).map(({ id }) => id)
    const { data, total } = answer.json()
    const ids = data.map(({ id }: Thing) => id)
    t.same(ids, expected, `user ${person.id} lists ${path}`)
    t.equal(total, expected.length, `and counts ${path}`)
    const field = variedField[type]
    const isHidden = rightTo(person, type) === 'hidden'
    const shown = data.filter((record: object) => field in record).length
    t.equal(shown, isHidden ? 0 : data.length, `user ${person.id} sees ${field} in ${path}`)
    const filtered = await person.call(`GET ${path}?fields=${field}`)
    t.equal(filtered.statusCode, isHidden ? 400 : 200, `and may ask for it`)
    const csv = await person.call(`GET ${path}?sort=id&fields=id`, undefined, {
      accept: 'text/csv'
    })
    const exported = world.things
      .filter(thing => thing.type === type && mayDo(world, person, thing, 'export'))
      .map(({ id }) => id)
    if (isGranted(person, type, 'export'))
      t.same(csv.body.trim().split('\r\n').slice(1).map(Number), exported, `exports ${path}`)
    else t.equal(csv.statusCode, 403, `does not export ${path}`)
  }
}

async function assertExplained(t: Test, world: World, person: Person): Promise<void> {
  for (const thing of world.things)
    for (const action of ['read', 'update', 'delete'] as const) {
      const query = `type=${thing.type}&id=${thing.id}&action=${action}`
      const ask = async (call: Call) =>
        (await call(`GET /api/access/explain?${query}&user_id=${person.id}`)).json()
      const explained = await ask(world.admin)
      const expected = mayDo(world, person, thing, action)
      t.equal(explained.allowed, expected, `user ${person.id}: ${query}`)
      const right = rightTo(person, thing.type)
      const rights = [explained.hidden_fields, explained.read_only_fields]
      const field = [variedField[thing.type]]
      const wanted = [right === 'hidden' ? field : [], right === 'read_only' ? field : []]
      t.same(rights, wanted, `the fields of ${query}`)
      t.same(await ask(person.call), explained, 'asked by themselves')
    }
}

/** No answer has the mark of a record that the person may not read. */
async function assertNothingLeaks(t: Test, app: App, world: World, person: Person): Promise<void> {
  const hidden = world.things.filter(
    thing => thing.mark !== '' && !mayDo(world, person, thing, 'read')
  )
  for (const [request, accept] of readsOf(app, world.things)) {
    const { body, statusCode } = await person.call(request, undefined, { accept })
    const leaked = hidden.filter(({ mark }) => body.includes(mark)).map(({ mark }) => mark)
    if (leaked.length > 0) t.same(leaked, [], `user ${person.id}: ${request} as ${accept}`)
    if (statusCode >= 500) t.fail(`${request} as ${accept}: ${body} ${logged.at(-1)}`)
  }
  t.pass(`user ${person.id} saw nothing of ${hidden.length} records`)
}

/** Every GET of the document: of lists with all that they include, and of each record. */
function* readsOf(app: App, things: Thing[]): Generator<[request: string, accept: string]> {
  for (const [path, { get }] of Object.entries(documentOf(app).paths)) {
    if (!get?.security?.length || path.includes('{share_id}')) continue
    const area = path.split('/')[2]
    const ids = things.filter(({ type }) => ownedPaths[type] === area).map(({ id }) => id)
    const urls = path.includes('{id}')
      ? ids.map(id => path.replace('{id}', String(id)))
      : [atExternalId(path)]
    const include = get.parameters?.find(({ name }) => name === 'include')?.schema.pattern ?? ''
    const names = /\((.*?)\)/.exec(include)?.[1]?.split('|') ?? []
    const hasPast = get.parameters?.some(({ name }) => name === 'as_of')
    const queries = [
      '',
      ...names.map(name => `include=${name}`),
      ...(names[0] ? ['q=zq'] : []),
      ...(hasPast ? ['as_of=9999-12-31'] : [])
    ]
    for (const url of urls)
      for (const query of queries)
        for (const accept of formatsOf(app, get))
          yield [`GET ${url}?${[requiredQuery(get), query].filter(Boolean).join('&')}`, accept]
  }
}

/** What may not be read is a 404, and what may not be changed a 403 that changes nothing. */
async function assertWrites(t: Test, world: World, person: Person): Promise<void> {
  const statusFor = (thing: Thing, action: Action, success: number) => {
    if (!isGranted(person, thing.type, action)) return 403
    if (!mayDo(world, person, thing, 'read')) return 404
    return mayDo(world, person, thing, action) ? success : 403
  }
  const changes: Record<Type, (version: number) => object> = {
    account: version => ({ phone: `+4911${version}` }),
    contact: version => ({ phone: `+4911${version}` }),
    lead: version => ({ score: version % 100 }),
    opportunity: version => ({ amount: version + 100 }),
    activity: version => ({ description: `d${version}` }),
    campaign: version => ({ budget: version + 100 }),
    campaign_member: version => ({ status: version % 2 === 0 ? 'sent' : 'responded' })
  }
  for (const thing of world.things) {
    const one = `/api/${ownedPaths[thing.type]}/${thing.id}`
    const versionOf = async () => (await world.admin(`GET ${one}`)).json().version as number
    const version = await versionOf()
    const changed = await person.call(`PATCH ${one}`, changes[thing.type](version))
    const wanted = statusFor(thing, 'update', 200)
    const isGrantedAtAll = isGranted(person, thing.type, 'update')
    const right = rightTo(person, thing.type)
    const byField = { hidden: 400, read_only: wanted === 404 ? 404 : 403, writable: wanted }[right]
    const status = isGrantedAtAll ? byField : wanted
    t.equal(changed.statusCode, status, `user ${person.id}: PATCH ${one}`)
    const after = await versionOf()
    t.equal(after, changed.statusCode === 200 ? version + 1 : version, `the version of ${one}`)
    const removed = await person.call(`DELETE ${one}`)
    t.equal(removed.statusCode, statusFor(thing, 'delete', 204), `user ${person.id}: DELETE ${one}`)
    if (removed.statusCode !== 204) continue
    t.equal((await person.call(`POST ${one}/restore`)).statusCode, 200, `restore ${one}`)
  }
}
