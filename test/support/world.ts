// A random organization in which everyone reaches other records, and a model of who reaches what.
import { randomOf, type Random } from '../../scripts/fuzz/random.ts'
import { actions, reaches, type Action, type Grant } from '../../src/core/access/permissions.ts'
import { organization, type App, type Call } from './app.ts'

/** The resources whose records belong to users, by their types. */
export const ownedPaths = {
  account: 'accounts',
  contact: 'contacts',
  lead: 'leads',
  opportunity: 'opportunities',
  activity: 'activities',
  campaign: 'campaigns',
  campaign_member: 'campaign-members'
} as const
export type Type = keyof typeof ownedPaths
export const types = Object.keys(ownedPaths) as Type[]

export interface Thing {
  type: Type
  id: number
  /** A text that is in this record and in no other one; a membership has none. */
  mark: string
  owners: (number | null)[]
  /** For a membership: what it belongs to. */
  parent?: Thing
}

export interface Person {
  id: number
  call: Call
  grants: Grant[]
}

interface Team {
  id: number
  parent: number | null
  members: number[]
}

interface Share {
  thing: Thing
  user_id?: number
  team_id?: number
  access: 'read' | 'write'
}

export interface World {
  admin: Call
  people: Person[]
  things: Thing[]
  teams: Team[]
  shares: Share[]
}

const created = async (call: Call, request: string, body: object): Promise<{ id: number }> => {
  const answer = await call(`POST /api/${request}`, body)
  if (answer.statusCode !== 201) throw new Error(`${request}: ${answer.body}`)
  return answer.json()
}

/** Builds a world; the same seed builds the same one. */
export async function buildWorld(app: App, seed: number, each = 4): Promise<World> {
  const random = randomOf(seed)
  const { call: admin, user } = await organization(app)
  const people: Person[] = []
  for (let i = 0; i < 4; i++) {
    const { user: account, call } = await user('user')
    people.push({ id: account.id, call, grants: [] })
  }
  const world: World = { admin, people, things: [], teams: [], shares: [] }
  await addThings(world, random, each)
  await addTeams(world, random)
  await addShares(world, random)
  for (const person of people) await giveRoles(world, random, person)
  return world
}

async function addThings({ people, things }: World, random: Random, each: number) {
  const someone = () => (random.chance(0.7) ? random.pick(people).id : null)
  const idOf = (type: Type) => random.pick(things.filter(thing => thing.type === type)).id
  const maybe = (type: Type) => (random.chance(0.7) ? idOf(type) : null)
  const bodies: Record<Type, (mark: string) => object> = {
    account: name => ({ name, assigned_to: someone() }),
    contact: last_name => ({
      first_name: 'A',
      last_name,
      account_id: maybe('account'),
      assigned_to: someone()
    }),
    lead: source => ({ source, contact_id: maybe('contact'), assigned_to: someone() }),
    opportunity: title => ({
      title,
      amount: 10,
      lead_id: maybe('lead'),
      account_id: maybe('account'),
      assigned_to: someone()
    }),
    activity: subject => ({
      type: 'note',
      subject,
      assigned_to: someone(),
      links: [
        { type: 'contact', id: idOf('contact') },
        { type: 'opportunity', id: idOf('opportunity') }
      ]
    }),
    campaign: name => ({ name, assigned_to: someone() }),
    campaign_member: () => ({})
  }
  for (const type of types.slice(0, -1))
    for (let i = 0; i < each; i++) {
      const creator = random.pick(people)
      const mark = `zq${type}${i}x`
      const body = bodies[type](mark)
      const { id } = await created(creator.call, ownedPaths[type], body)
      const { assigned_to } = body as { assigned_to: number | null }
      things.push({ type, id, mark, owners: [creator.id, assigned_to] })
    }
  for (const campaign of things.filter(({ type }) => type === 'campaign')) {
    const body = { campaign_id: campaign.id, contact_id: idOf('contact') }
    const { id } = await created(random.pick(people).call, 'campaign-members', body)
    things.push({ type: 'campaign_member', id, mark: '', owners: [], parent: campaign })
  }
}

async function addTeams({ admin, people, teams }: World, random: Random) {
  for (let i = 0; i < 3; i++) {
    const members = people.filter(() => random.chance(0.4)).map(({ id }) => id)
    const parent = teams.length > 0 && random.chance(0.6) ? random.pick(teams).id : null
    const body = { name: `Team ${i}`, member_ids: members, parent_team_id: parent }
    const { id } = await created(admin, 'teams', body)
    teams.push({ id, parent, members })
  }
}

async function addShares({ admin, people, things, teams, shares }: World, random: Random) {
  for (const thing of things.filter(({ parent }) => !parent)) {
    if (!random.chance(0.3)) continue
    const withWhom = random.chance(0.5)
      ? { user_id: random.pick(people).id }
      : { team_id: random.pick(teams).id }
    const share = { ...withWhom, access: random.pick(['read', 'write'] as const) }
    await created(admin, `${ownedPaths[thing.type]}/${thing.id}/shares`, share)
    shares.push({ thing, ...share })
  }
}

/** Of each type, a field that roles hide or protect; nothing else in the world depends on it. */
export const variedField = {
  account: 'phone',
  contact: 'phone',
  lead: 'score',
  opportunity: 'amount',
  activity: 'description',
  campaign: 'budget',
  campaign_member: 'status'
} as const

/** Rights to the field of a resource, if it is a single one. */
function fieldRights(random: Random, resource: string): Partial<Grant> {
  const type = types.find(type => ownedPaths[type] === resource)
  if (!type) return {}
  const fields = [variedField[type]]
  if (random.chance(0.4)) return { hidden_fields: fields }
  return random.chance(0.4) ? { read_only_fields: fields } : {}
}

async function giveRoles({ admin }: World, random: Random, person: Person) {
  const role_ids: number[] = []
  for (let i = random.integer(1, 2); i > 0; i--) {
    const grants = Array.from({ length: random.integer(1, 5) }, () => {
      const resource = random.pick(['records', ...Object.values(ownedPaths)])
      return {
        resource,
        actions: actions.filter(action => random.chance(action === 'read' ? 0.9 : 0.5)),
        reach: random.pick(reaches),
        ...fieldRights(random, resource)
      }
    }).filter(({ actions }) => actions.length > 0)
    const { id } = await created(admin, 'roles', { name: `Role ${person.id} ${i}`, grants })
    role_ids.push(id)
    person.grants.push(...grants)
  }
  const answer = await admin(`PATCH /api/users/${person.id}`, { role_ids })
  if (answer.statusCode !== 200) throw new Error(answer.body)
}

/** Whether a person may do something with records of a type at all. */
export const isGranted = ({ grants }: Person, type: Type, action: Action): boolean =>
  reachOf(grants, type, action) >= 0

const grantsOf = (grants: Grant[], type: Type, action: Action): Grant[] =>
  grants
    .filter(({ resource }) => resource === 'records' || resource === ownedPaths[type])
    .filter(({ actions }) => actions.includes(action))

const reachOf = (grants: Grant[], type: Type, action: Action): number =>
  Math.max(-1, ...grantsOf(grants, type, action).map(({ reach }) => reaches.indexOf(reach)))

/** Whether a person does not see the varied field of a type, or sees and may not change it. */
export function rightTo({ grants }: Person, type: Type): 'hidden' | 'read_only' | 'writable' {
  const reading = grantsOf(grants, type, 'read')
  if (reading.length > 0 && reading.every(({ hidden_fields }) => hidden_fields)) return 'hidden'
  const writing = grantsOf(grants, type, 'update')
  const isProtected = writing.every(one => one.hidden_fields ?? one.read_only_fields)
  return writing.length > 0 && isProtected ? 'read_only' : 'writable'
}

/** The teams of a person and those below them. */
function teamsOf({ teams }: World, person: Person): Team[] {
  const mine = teams.filter(({ members }) => members.includes(person.id))
  for (const team of mine)
    mine.push(...teams.filter(one => one.parent === team.id && !mine.includes(one)))
  return mine
}

/** The model: whether a person may do something with a record. */
export function mayDo(world: World, person: Person, thing: Thing, action: Action): boolean {
  const reach = reachOf(person.grants, thing.type, action)
  if (reach < 0) return false
  if (action !== 'read' && !mayDo(world, person, thing, 'read')) return false
  if (reaches[reach] === 'all') return true
  const of = thing.parent ?? thing
  const teams = teamsOf(world, person)
  const users = reaches[reach] === 'own' ? [] : teams.flatMap(({ members }) => members)
  if (of.owners.some(owner => owner !== null && [person.id, ...users].includes(owner))) return true
  const reading = ['read', 'write']
  const wanted = { read: reading, export: reading, update: ['write'] }[action as string] ?? []
  return world.shares.some(
    ({ thing: shared, user_id, team_id, access }) =>
      shared === of &&
      wanted.includes(access) &&
      (user_id === person.id || teams.some(({ id }) => id === team_id))
  )
}
