// Every operation of the document with every kind of credential: what is refused changes nothing.
import t from 'tap'
import { allResources, groupOf } from '../src/core/records/resource.ts'
import {
  application,
  bearer,
  organization,
  password,
  secret,
  type Call,
  type Headers
} from './support/app.ts'
import { documentOf, requiredQuery, type Operation } from './support/document.ts'
import { expired, forgeriesOf } from './support/forgeries.ts'
import { atExternalId, ours, plant, type Ids } from './support/plant.ts'
import { everyones, isScope } from './support/scopes.ts'
import { rowVersions } from './support/row-versions.ts'

const app = await application(t)

interface Tried {
  request: string
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  path: string
  url: (ids: Ids) => string
  permission: string | undefined
  body: object | undefined
}

const exampleOf = ({ requestBody }: Operation): object | undefined => {
  const reference = requestBody?.content['application/json']?.schema.$ref
  if (reference === undefined) return undefined
  return documentOf(app).components.schemas[reference.split('/').at(-1)!]?.example ?? {}
}

/** All operations that are not public; those that delete come last. */
const operations = Object.entries(documentOf(app).paths)
  .flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, { security }]) => security?.length)
      .map(([method, operation]): Tried => {
        const url = (ids: Ids) =>
          atExternalId(path).replaceAll(/\{\w+\}/g, (_, offset: number) =>
            offset === path.indexOf('{') ? String(ids[path.split('/')[2]!] ?? 1) : '1'
          ) + `?${requiredQuery(operation)}`
        return {
          request: `${method.toUpperCase()} ${path}`,
          method: method.toUpperCase() as Tried['method'],
          path,
          url,
          permission: operation['x-permission'],
          body: exampleOf(operation)
        }
      })
  )
  .toSorted((a, b) => Number(a.method === 'DELETE') - Number(b.method === 'DELETE'))

/** Sends an operation as it is, without looking at the document. */
const send = async ({ method, url, body }: Tried, ids: Ids, headers: Headers) =>
  await app.inject({ method, url: url(ids), headers, ...(body && { payload: body }) })

async function planted() {
  const one = await organization(app)
  return { ...one, ids: await plant(one.call, ours) }
}

/** What needs no token: whoever adds to it says why that is safe. */
const publicPaths = [
  '/api/auth/invitations/accept',
  '/api/auth/login',
  '/api/auth/password-resets',
  '/api/auth/password-resets/confirm',
  '/api/auth/refresh',
  '/api/auth/sign-in/exchange',
  '/api/auth/sign-in/{organization}',
  '/api/auth/sign-in/{organization}/providers',
  '/api/auth/token',
  '/api/organizations', // unless it is opened, it is refused
  '/api/problems',
  '/api/problems/{code}',
  '/healthz',
  '/readyz'
]

t.test('only these operations are public', async t => {
  const found = Object.entries(documentOf(app).paths).flatMap(([path, methods]) =>
    Object.values(methods).some(({ security }) => !security?.length) ? [path] : []
  )
  t.same(found.toSorted(), publicPaths)
  t.ok(operations.length > 150, `${operations.length} others`)
  t.ok(operations.every(({ permission }) => permission !== undefined))
})

t.test('no token, and none that is expired, revoked or forged, is accepted anywhere', async t => {
  const { id, ids, admin, call, user } = await planted()
  const gone = await user('admin')
  await call(`DELETE /api/users/${gone.user.id}`)
  const disabled = await user('admin')
  await call(`PATCH /api/users/${disabled.user.id}`, { status: 'disabled' })
  const left = await user('admin')
  await left.call('POST /api/auth/logout')
  const given = { name: 'T', scopes: ['*'], risk: 'destructive' }
  const token = (await call('POST /api/api-tokens', given)).json()
  await call(`DELETE /api/api-tokens/${token.id}`)
  const credentials: Record<string, Headers> = {
    'no token': {},
    'an expired token': bearer(expired(admin.token, secret)),
    'the token of a session that has ended': bearer(left.token),
    'the token of a deleted user': bearer(gone.token),
    'the token of a disabled user': bearer(disabled.token),
    'a deleted API token': bearer(token.token),
    'a password': {
      authorization: `Basic ${Buffer.from(`${admin.user.username}:${password}`).toString('base64')}`
    },
    'two tokens': { authorization: `Bearer ${admin.token} ${admin.token}` },
    'another scheme': { authorization: `Token ${admin.token}` },
    'a token in another header': { 'x-access-token': admin.token, cookie: `token=${admin.token}` }
  }
  for (const [what, forged] of Object.entries(forgeriesOf(admin.token, secret)))
    credentials[what] = bearer(forged)
  t.ok(Object.keys(credentials).length > 50, `${Object.keys(credentials).length} credentials`)

  const before = await rowVersions(app, id)
  const codes = /^(unauthenticated|token_invalid|token_expired|session_ended)$/
  for (const [what, headers] of Object.entries(credentials)) {
    const accepted: string[] = []
    for (const operation of operations) {
      const { statusCode, json } = await send(operation, ids, headers)
      if (statusCode !== 401 || !codes.test(json().code))
        accepted.push(`${statusCode} ${operation.request}`)
    }
    t.same(accepted, [], what)
  }
  t.same(await rowVersions(app, id), before, 'nothing was written')
  t.equal((await call('GET /api/auth/me')).statusCode, 200, 'the real one works')
})

/** What a role may do, told apart from the code: its actions on each group. */
const reads = ['read', 'export']
const all = [...reads, 'create', 'update', 'delete']
const roles: Record<string, Record<string, string[]>> = {
  admin: { records: all, settings: all, administration: all },
  manager: { records: all, settings: reads },
  user: { records: all, settings: reads },
  viewer: { records: reads, settings: reads },
  partner: { records: all, settings: reads }
}
function groupNamed(path: string): string {
  const resource = allResources().find(one => one.path === path)
  if (['operations', 'jobs', 'exports'].includes(path)) return 'personal'
  return resource ? groupOf(resource) : 'administration'
}

function mayDo(role: string, permission: string): boolean {
  if (everyones.has(permission) || permission.startsWith('me:')) return true
  const [path, action] = permission.split(':') as [string, string]
  const group = groupNamed(path)
  return group === 'personal' || (roles[role]![group] ?? []).includes(action)
}

/** Operations that end the session of who uses them. */
const ending = new Set(['POST /api/auth/logout', 'POST /api/auth/logout-all'])

for (const role of Object.keys(roles))
  t.test(`a ${role} gets what the role allows`, async t => {
    const { id, ids, user } = await planted()
    const { token } = await user(role)
    const [allowed, refused] = [
      operations.filter(({ permission }) => mayDo(role, permission!)),
      operations.filter(({ permission }) => !mayDo(role, permission!))
    ]
    if (role === 'admin') t.same(refused, [])
    else t.ok(refused.length > 20, `${refused.length} refused`)
    const before = await rowVersions(app, id)
    for (const operation of refused) {
      const { statusCode, json } = await send(operation, ids, bearer(token))
      t.match([statusCode, json().code], [403, 'forbidden'], operation.request)
    }
    t.same(await rowVersions(app, id), before, 'nothing was written')
    for (const operation of allowed.filter(({ request }) => !ending.has(request))) {
      const { statusCode, body } = await send(operation, ids, bearer(token))
      t.ok(statusCode < 500 && statusCode !== 401, `${operation.request} is a ${statusCode}`)
      t.notMatch(body, /needs? the permission/, operation.request)
    }
  })

t.test('an admin of another organization changes nothing and finds nothing', async t => {
  const { id, ids } = await planted()
  const other = await organization(app)
  const before = await rowVersions(app, id)
  for (const operation of operations.filter(({ request }) => !ending.has(request))) {
    const { statusCode, body } = await send(operation, ids, bearer(other.admin.token))
    t.ok(statusCode < 500 && statusCode !== 401, `${operation.request} is a ${statusCode}`)
    t.notOk(body.includes(ours.word), operation.request)
    const isRecord = operation.path.includes('{id}') && !operation.path.startsWith('/api/auth')
    if (isRecord) t.ok([404, 400, 412, 422].includes(statusCode), operation.request)
  }
  t.same(await rowVersions(app, id), before, 'nothing was written')
})

t.test('an API token with every scope but the one that is needed is refused', async t => {
  const { id, ids, call } = await planted()
  const scopesOf = await tokensFor(call)
  const before = await rowVersions(app, id, ['api_tokens']) // their last use is noted
  for (const [permission, token] of scopesOf)
    for (const operation of operations.filter(one => one.permission === permission)) {
      const { statusCode, json } = await send(operation, ids, bearer(token))
      t.match([statusCode, json().code], [403, 'forbidden'], operation.request)
    }
  t.same(await rowVersions(app, id, ['api_tokens']), before, 'nothing was written')
  t.ok(scopesOf.size > 50, `${scopesOf.size} permissions`)
})

/** For each permission that not everyone has, a token with all scopes but that one. */
async function tokensFor(call: Call): Promise<Map<string, string>> {
  const { permissions } = (await call('GET /api/auth/me')).json<{ permissions: string[] }>()
  const needed = new Set(operations.map(({ permission }) => permission!))
  const tokens = new Map<string, string>()
  for (const permission of needed) {
    if (everyones.has(permission)) continue
    const scopes = permissions.filter(one => one !== permission && isScope(one))
    const given = { name: permission, scopes, risk: 'destructive' }
    tokens.set(permission, (await call('POST /api/api-tokens', given)).json().token)
  }
  return tokens
}
