import type { Test } from 'tap'
import { Context } from '../../src/core/access/context.ts'
import { allResources } from '../../src/core/records/resource.ts'
import { addMembers } from '../../src/modules/marketing/campaigns/service.ts'
import { caller, organization, type App, type Call } from './app.ts'
import { documentOf, requiredQuery, type Operation } from './document.ts'
import { atExternalId, holds, ours, plant, textFields, theirs, type Sample } from './plant.ts'
import { formatsOf, readAll } from './reads.ts'

/**
 * Tries every operation of the document without a token, as a viewer, as a user, and as an admin of
 * another organization. `more`: samples of further resources. Returns the requests that it tried.
 */
export async function assertAccess(
  t: Test,
  app: App,
  more: [string, Sample][] = []
): Promise<string[]> {
  const { id, admin, call, user } = await organization(app)
  const other = await organization(app)
  const [writer, viewer] = [await user('user'), await user('viewer')]

  await plant(other.call, theirs, more)
  const before = await readAll(app, other.call)
  const ids = await plant(call, ours, more)
  ids.auth = (await call('GET /api/auth/sessions')).json().data[0].id // below it, sessions have IDs
  const converted = await call(`POST /api/leads/${ids.leads}/conversion`, {})
  t.equal(converted.statusCode, 201, 'the lead has a conversion to be read')
  ids.operations = (await call('GET /api/operations')).json().data[0].id
  const adding = {
    campaign_id: ids.campaigns!,
    resource: 'contacts',
    filter: '',
    after: 0
  } as const
  ids.jobs = await addMembers.start(Context.system(app.services, id, admin.user.id), adding)
  ids.exports = (await call('POST /api/exports', { types: ['contact'] })).json().id
  ids.deliveries = (await call(`POST /api/webhooks/${ids.webhooks}/test`)).json().id
  for (const [request, answer] of await readAll(app, other.call))
    t.equal(answer, before.get(request), `${request} does not depend on another organization`)
  for (const [request, answer] of await readAll(app, call))
    if (showsText(request)) t.ok(holds(answer, ours), `${request} shows our own data`)

  const tried: string[] = []
  for (const [path, operations] of Object.entries(documentOf(app).paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const area = path.split('/')[2]!
      if (path.includes('{id}')) t.ok(ids[area], `there is a record in ${area}`)
      const url = atExternalId(path)
        .replace('{id}', String(ids[area] ?? 1))
        .replace('{type}', 'contact')
        .replace(/\{\w+_id\}/, '1')
      const query = requiredQuery(operation)
      const request = `${method.toUpperCase()} ${url}${query && `?${query}`}`
      tried.push(request)
      await assertOperation(t, {
        request,
        area,
        isPublic: !operation.security?.length,
        isOurs: path.includes('{id}'),
        formats: formatsOf(app, operation),
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

/** Whether a request lists records that have text. */
const showsText = (request: string) =>
  allResources().some(
    ({ path }) => textFields(path).length > 0 && request.startsWith(`GET /api/${path}?count`)
  )

function exampleOf(app: App, { requestBody }: Operation): object | undefined {
  const reference = requestBody?.content['application/json']?.schema.$ref
  if (reference === undefined) return undefined
  return documentOf(app).components.schemas[reference.split('/').at(-1)!]?.example ?? {}
}

interface Attempt {
  request: string
  area: string
  isPublic: boolean
  /** Whether it names a record of ours. */
  isOurs: boolean
  formats: string[]
  body: object | undefined
  nobody: Call
  viewer: Call
  writer: Call
  other: Call
}

async function assertOperation(t: Test, attempt: Attempt): Promise<void> {
  const { request, area, isPublic, isOurs, body, nobody, viewer, writer } = attempt
  const assertStatus = async (call: Call, expected: number, who: string) => {
    t.equal((await call(request, body)).statusCode, expected, `${request} ${who}`)
  }
  const isRead = request.startsWith('GET')
  const isOfAdmins = ['audit', 'deliveries'].includes(area) // no resources
  const resource = allResources().find(({ path }) => path === area)
  const otherAccess = isOfAdmins ? 'administration' : resource?.access
  // no resources: of the users who began them
  const isOwn = ['operations', 'jobs', 'exports'].includes(area)
  const access = isOwn ? 'personal' : otherAccess
  if (isPublic) {
    if (area === 'organizations') await assertStatus(nobody, 403, 'unless it is opened')
    else if (area !== 'auth')
      await assertStatus(nobody, request.includes('{code}') ? 404 : 200, 'is public')
    return
  }
  await assertStatus(nobody, 401, 'without a token')
  // each operation of a batch has a permission of its own
  if (area === 'auth' || area === 'batch') return
  if (access === 'personal') {
    if (isOurs) await assertStatus(viewer, 404, 'as another user')
    else if (isRead) await assertStatus(viewer, 200, 'as a viewer')
    return await assertNothingShown(t, attempt)
  }
  if (request.endsWith('/cursor')) {
    // of an integration, whose own API token may set it: nobody else learns that there is one
    for (const [call, who] of [[viewer, 'a viewer'] as const, [writer, 'a user'] as const])
      await assertStatus(call, 404, `as ${who}`)
    return await assertNothingShown(t, attempt)
  }
  const forbidsReading = access === 'administration' && !request.endsWith('/users/directory')
  if (isRead && !forbidsReading) await assertStatus(viewer, 200, 'as a viewer')
  else await assertStatus(viewer, 403, 'as a viewer')
  if (!isRead && access !== undefined && access !== 'shared')
    await assertStatus(writer, 403, 'as a user')
  if (isRead && access === 'administration')
    await assertStatus(writer, forbidsReading ? 403 : 200, 'as a user')
  await assertNothingShown(t, attempt)
}

/** An admin of another organization gets none of our data, in no format. */
async function assertNothingShown(t: Test, attempt: Attempt): Promise<void> {
  const { request, isOurs, formats, body, other } = attempt
  for (const accept of formats) {
    const answer = await other(request, body, { accept })
    const what = `${request} as ${accept}`
    if (isOurs) t.equal(answer.statusCode, 404, `${what} of another organization`)
    t.notOk(holds(answer.body, ours), `${what} shows nothing to strangers`)
  }
}
