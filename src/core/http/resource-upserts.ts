import { Type, type TProperties } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Context } from '../access/context.ts'
import { columnNamed, hasExternalIds } from '../db/columns.ts'
import { defined } from '../defined.ts'
import { invalid, invalidParameter, missingFields, notFound, unknownParameter } from '../errors.ts'
import { pascalCase, withArticle } from '../names.ts'
import { hasExternalId } from '../records/external-ids.ts'
import { repository } from '../records/repository.ts'
import { serverSetFields, type Resource } from '../records/resource.ts'
import {
  externalKey,
  fieldKey,
  onDeleted,
  onMatch,
  upsert,
  type RecordKey,
  type Upsertable,
  type UpsertOptions
} from '../records/upsert.ts'
import { isHidden } from '../records/visibility.ts'
import { declareFixedFields } from './bodies.ts'
import { externalIdParameters, externalMatch } from './external-ids.ts'
import { versionsOf } from './preconditions.ts'
import { recordQuery, sendWritten } from './presentation.ts'
import type { Served } from './record-writes.ts'
import { operation, type Mount } from './resource-mount.ts'
import { createdResponse, recordResponse, requestHeaders, type Identified } from './responses.ts'
import { explained, OneOf, Ref } from './schema.ts'

type Body = Record<string, unknown>

/** A field, or a source of external IDs. */
export interface MatchedBy {
  field: string
  source: string | undefined
}

/** The operations that an upsert consists of, if the service has them. */
export function upsertable({ resource, service }: Served): Upsertable<Identified> | undefined {
  const { create, update, restore, withLocks } = service
  if (!create || !update || !resource.create || !resource.update) return undefined
  return { create, update, ...defined({ restore, withLocks }) }
}

/** Whether records of a resource can be put at an external ID. */
export const isUpserted = (served: Served): boolean =>
  hasExternalIds(served.resource.table) && upsertable(served) !== undefined

/** Whether records of a resource that is upserted are matched by this. */
export const isMatchedBy = ({ identifiers = [] }: Resource, { field, source }: MatchedBy) =>
  source !== undefined || identifiers.includes(field)

/** What `match` can be, as patterns, and as it is described. */
function matchesOf({ table, identifiers = [] }: Resource) {
  const fields = identifiers.map(field => ({ pattern: field, text: field }))
  const ids = { pattern: externalMatch, text: 'external:<source>' }
  return hasExternalIds(table) ? [...fields, ids] : fields
}

const deletedParameter = Type.Optional(
  OneOf(onDeleted, {
    description:
      'What to do if the record that matches is deleted: restore and update it, or create ' +
      'another one. By default, it is a 409.',
    examples: ['restore']
  })
)

/** The parameters of a creation that may be an upsert; none if there is nothing to match by. */
export function matchParameters(mount: Mount): TProperties {
  const matches = matchesOf(mount.resource)
  if (matches.length === 0 || !upsertable(mount)) return {}
  const allowed = matches.map(({ text }) => text)
  const { label } = mount.resource
  return {
    match: Type.Optional(
      Type.String({
        maxLength: 60,
        pattern: explained(
          `^(${matches.map(({ pattern }) => pattern).join('|')})$`,
          `must be one of ${allowed.join(', ')}`,
          'match',
          { allowed }
        ),
        description:
          `If there is ${withArticle(label)} with the same value, it is updated and returned ` +
          `with 200: one of ${allowed.join(', ')}. Several such records are a 409.`,
        examples: [allowed[0]!.replace('<source>', 'erp')]
      })
    ),
    on_match: Type.Optional(
      OneOf(onMatch, {
        description:
          'With `match`: `update` changes the given fields of the record, `fill` those of them ' +
          'that are null, `keep` nothing. Default: update.',
        examples: ['update']
      })
    ),
    on_deleted: deletedParameter
  }
}

/**
 * Creates a record, or with `match` updates the one that has the same value. Errors: those of both;
 * 400 for parameters without `match`, and for a value that is missing.
 */
export async function createOrMatch(
  mount: Mount,
  request: FastifyRequest,
  reply: FastifyReply,
  create: () => Promise<Identified>
): Promise<Identified> {
  const { match, ...others } = request.query as { match?: string } & Pick<
    UpsertOptions,
    'on_match' | 'on_deleted'
  >
  if (match === undefined) {
    for (const name of ['on_match', 'on_deleted'] as const)
      if (others[name] !== undefined) throw invalidParameter(name, `${name} requires match`)
    return created(mount, reply, await create())
  }
  const body = request.body as Body
  const [field, source] = match.split(':') as [string, string?]
  const key = await keyIn(request.ctx, mount.resource, { field, source }, body)
  const { on_match, on_deleted } = others
  return await send(mount, request, reply, { key, on_match, on_deleted }, body)
}

/**
 * The key by which a body is matched: the value of a field, or with a `source` that of an external
 * ID. Errors: 400 for a value that is missing, and for a field that the caller does not see.
 */
export async function keyIn(
  ctx: Context,
  resource: Resource,
  { field, source }: MatchedBy,
  body: Body
): Promise<RecordKey> {
  const column = columnNamed(resource.table, source === undefined ? field : 'external_ids')
  if (isHidden(ctx, column)) throw unknownParameter('match', field)
  if (source === undefined) {
    const value = body[field]
    if (typeof value !== 'string') throw missingFields([`/${field}`])
    return await fieldKey(ctx, resource, field, value)
  }
  const value = (body.external_ids as Record<string, string | null> | undefined)?.[source]
  if (typeof value !== 'string') throw missingFields([`/external_ids/${source}`])
  return externalKey(resource, source, value)
}

const created = ({ app }: Mount, reply: FastifyReply, row: Identified): Identified => {
  reply.code(201).header('location', `${app.prefix}/${row.id}`)
  return row
}

async function send(
  mount: Mount,
  request: FastifyRequest,
  reply: FastifyReply,
  options: UpsertOptions,
  body: Body
): Promise<Identified> {
  const service = upsertable(mount)!
  const { row, outcome } = await upsert(request.ctx, mount.resource, service, options, body)
  return outcome === 'created' ? created(mount, reply, row) : row
}

interface ExternalId {
  source: string
  value: string
}

const externalIdOf = (request: FastifyRequest) => request.params as ExternalId

/** The ID of the record with an external ID. Errors: 404, also if the caller sees none. */
export async function idByExternal(
  { ctx, params }: FastifyRequest,
  resource: Resource
): Promise<number> {
  assertSeen(ctx, resource)
  const { source, value } = params as ExternalId
  const query = { filters: [hasExternalId(source, value)], fields: ['id'] }
  const row = await repository(resource).first(ctx, query)
  if (!row) throw notFound(resource.label)
  return row.id
}

/** Errors: 404 for callers who do not see external IDs. */
function assertSeen(ctx: Context, { table, label }: Resource): void {
  if (isHidden(ctx, columnNamed(table, 'external_ids'))) throw notFound(label)
}

/** Puts a record at its external ID: creates or updates it. */
export function mountPutExternal(mount: Mount): void {
  const { app, resource, schema } = mount
  const { name, label } = resource
  if (!isUpserted(mount)) return
  const body = bodyOfUpsert(resource)
  app.addSchema(body)
  declareFixedFields(body.$id!, serverSetFields(resource))
  const one = withArticle(label)
  const { config, schema: declared } = operation(
    mount,
    'update',
    {
      operationId: `put${pascalCase(name)}ByExternalId`,
      summary: `Upsert ${one} by its external ID`,
      description:
        `Updates the ${label} with this ID in another system, as PATCH does, or creates one that ` +
        `has it, which requires the permission \`${resource.path}:create\`. It can be repeated.`
    },
    409,
    422
  )
  app.put(
    '/external/:source/:value',
    {
      config,
      schema: {
        ...declared,
        params: externalIdParameters,
        querystring: recordQuery(mount, { on_deleted: deletedParameter }),
        body: Ref(body),
        headers: requestHeaders('if-match'),
        response: {
          ...recordResponse(`The ${label}.`, Ref(schema)),
          ...createdResponse(`The new ${label}.`, Ref(schema))
        }
      }
    },
    async (request, reply) =>
      await sendWritten(mount, request, reply, async () => {
        assertSeen(request.ctx, resource)
        const { source, value } = externalIdOf(request)
        const { on_deleted } = request.query as Pick<UpsertOptions, 'on_deleted'>
        const options = {
          key: externalKey(resource, source, value),
          on_deleted,
          versions: versionsOf(request),
          mustExist: request.headers['if-match'] !== undefined
        }
        return await send(mount, request, reply, options, withExternalId(request))
      })
  )
}

/** The `$id` of the body of an upsert. */
export const upsertSchemaOf = (resource: string): string => `${pascalCase(resource)}Upsert`

/** The body of a creation or a change: no field is required. */
function bodyOfUpsert({ name, label, create, update }: Resource) {
  const fields = { ...create!.properties, ...update!.properties }
  const { example: created = {} } = create as { example?: Body }
  const { example: changed = {} } = update as { example?: Body }
  const required = create!.required ?? []
  // another record than that of the example of a creation
  const named = required.map(field => {
    const isText = typeof created[field] === 'string' && fields[field]!.enum === undefined
    return [field, isText ? `${created[field] as string} 2` : created[field]]
  })
  return Type.Partial(Type.Object(fields), {
    $id: upsertSchemaOf(name),
    description: `As for a change of ${withArticle(label)}; a new one requires more of the fields.`,
    additionalProperties: false,
    example: required.length > 0 ? Object.fromEntries(named) : changed
  })
}

/** The body with the external ID of the path. Errors: 400 for one that removes or changes that. */
function withExternalId(request: FastifyRequest): Body {
  const { source, value } = externalIdOf(request)
  const body = request.body as Body
  const given = body.external_ids as Record<string, string | null> | null | undefined
  const known = given && Object.hasOwn(given, source) ? given[source] : value
  if (given === null || (known !== undefined && known !== value)) {
    const pointer = given === null ? '/external_ids' : `/external_ids/${source}`
    const detail = `${pointer.slice(1)} must have the value in the path`
    throw invalid([{ pointer, code: 'invalid', detail, params: { value } }])
  }
  body.external_ids = { ...given, [source]: value }
  return body
}
