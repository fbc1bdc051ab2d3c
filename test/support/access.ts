import type { Test } from 'tap'
import { allResources } from '../../src/core/records/resource.ts'
import { caller, organization, type App, type Call } from './app.ts'
import { documentOf, type Operation } from './document.ts'

type Ids = Record<string, number>
/** The body that creates a record of a path, given the IDs of those created before, by path. */
type Sample = (ids: Ids) => object

const samples: Record<string, Sample> = {
  contacts: () => ({ first_name: 'A', last_name: 'B' }),
  accounts: () => ({ name: 'A' }),
  leads: () => ({}),
  opportunities: () => ({ title: 'A' }),
  activities: () => ({ type: 'call', subject: 'A' }),
  campaigns: () => ({ name: 'A' }),
  'campaign-members': ids => ({ campaign_id: ids.campaigns, contact_id: ids.contacts }),
  tags: () => ({ name: 'A' }),
  pipelines: () => ({ name: 'A' }),
  stages: ids => ({ pipeline_id: ids.pipelines, key: 'a', name: 'A', probability: 1 }),
  teams: () => ({ name: 'A' }),
  territories: () => ({ name: 'A', filter: 'country=A' }),
  'scoring-models': () => ({ name: 'A' }),
  'assignment-rules': ids => ({ name: 'A', resource: 'leads', user_id: ids.users })
}

/**
 * Tries every operation of the document without a token, as a viewer, as a user, and as an admin of
 * another organization. `more`: samples of further resources. Returns the requests that it tried.
 */
export async function assertAccess(
  t: Test,
  app: App,
  more: Record<string, Sample> = {}
): Promise<string[]> {
  const { call, user } = await organization(app)
  const other = await organization(app)
  const [writer, viewer] = [await user('user'), await user('viewer')]
  const ids: Ids = { users: writer.user.id }
  for (const [path, sample] of Object.entries({ ...samples, ...more }))
    ids[path] = (await call(`POST /api/${path}`, sample(ids))).json().id
  const converted = await call(`POST /api/leads/${ids.leads}/conversion`, {})
  t.equal(converted.statusCode, 201, 'the lead has a conversion to be read')

  const tried: string[] = []
  for (const [path, operations] of Object.entries(documentOf(app).paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const area = path.split('/')[2]!
      if (path.includes('{id}')) t.ok(ids[area], `there is a record in ${area}`)
      const request = `${method.toUpperCase()} ${path.replace('{id}', String(ids[area] ?? 1))}`
      tried.push(request)
      await assertOperation(t, {
        request,
        area,
        isPublic: !operation.security?.length,
        ids,
        body: exampleOf(app, operation),
        nobody: caller(app),
        viewer: viewer.call,
        writer: writer.call,
        other: other.call
      })
    }
  }
  return tried
}

function exampleOf(app: App, { requestBody }: Operation): object | undefined {
  const reference = requestBody?.content['application/json']?.schema.$ref
  if (reference === undefined) return undefined
  return documentOf(app).components.schemas[reference.split('/').at(-1)!]?.example ?? {}
}

interface Attempt {
  request: string
  area: string
  isPublic: boolean
  ids: Ids
  body: object | undefined
  nobody: Call
  viewer: Call
  writer: Call
  other: Call
}

async function assertOperation(t: Test, attempt: Attempt): Promise<void> {
  const { request, area, isPublic, ids, body, nobody, viewer, writer, other } = attempt
  const assertStatus = async (call: Call, expected: number, who: string) => {
    t.equal((await call(request, body)).statusCode, expected, `${request} ${who}`)
  }
  const isRead = request.startsWith('GET')
  const { access } = allResources().find(({ path }) => path === area) ?? {}
  if (isPublic) {
    if (area !== 'auth')
      await assertStatus(nobody, request.includes('{code}') ? 404 : 200, 'is public')
    return
  }
  await assertStatus(nobody, 401, 'without a token')
  if (area === 'auth') return
  const forbidsReading = access === 'admins' && !request.endsWith('/users/directory')
  if (isRead && !forbidsReading) await assertStatus(viewer, 200, 'as a viewer')
  else await assertStatus(viewer, 403, 'as a viewer')
  if (!isRead && access !== undefined) await assertStatus(writer, 403, 'as a user')
  if (isRead && access === 'admins')
    await assertStatus(writer, forbidsReading ? 403 : 200, 'as a user')
  if (new RegExp(`/${ids[area]}(/|$)`).test(request))
    await assertStatus(other, 404, 'of another organization')
  else if (isRead) {
    const { body: shown } = await other(request)
    t.notMatch(shown, new RegExp(`"id":${ids[area]},`), `${request} shows nothing to strangers`)
  }
}
