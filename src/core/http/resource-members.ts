import { Type, type TObject, type TProperties } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { isDeepStrictEqual } from 'node:util'
import { defined } from '../defined.ts'
import { parameterBreaksRule, Problem, problemOfDatabase, unknownReference } from '../errors.ts'
import { pascalCase, sentenceCase, withArticle } from '../names.ts'
import { fieldSchema, resourceOf, type IncludedField, type Resource } from '../records/resource.ts'
import { assertWritable, placesOf } from '../records/visibility.ts'
import { versionsOf } from './preconditions.ts'
import { recordQuery, sendWritten } from './presentation.ts'
import { changeMembers } from './record-writes.ts'
import { operation, type Mount } from './resource-mount.ts'
import { idOf, recordResponse, requestHeaders } from './responses.ts'
import { Id, Ref } from './schema.ts'

/** A list of a record whose members have paths of their own: tags, or links. */
interface MemberList {
  field: string
  /** What it is a list of: `tag`. */
  label: string
  /** Parameters of the path of a member. The last one names a record. */
  parameters: TProperties
  memberIn: (parameters: Record<string, unknown>) => unknown
}

/** The lists of links, and those that are called what they list: `tags`, not `role_ids`. */
function listOf(resource: Resource, included: IncludedField): MemberList | undefined {
  if (typeof included === 'string') return undefined
  if ('links' in included) {
    const { items } = fieldSchema(resource.schema!, included.links)
    const { type } = (items as TObject).properties
    return {
      field: included.links,
      label: 'link',
      parameters: { type: type!, linked_id: Id({ description: 'Linked record ID.', example: 1 }) },
      memberIn: ({ type, linked_id: id }) => ({ type, id })
    }
  }
  const { name, plural, label } = resourceOf(included.of)!
  if (included.ids !== plural) return undefined
  const parameter = `${name}_id`
  const id = Id({ description: `${sentenceCase(label)} ID.`, example: 1 })
  return {
    field: plural,
    label,
    parameters: { [parameter]: id },
    memberIn: parameters => parameters[parameter]
  }
}

/** Mounts the routes that add one member to a list of a record, or remove it. */
export function mountMembers(mount: Mount): void {
  const { resource, service } = mount
  if (!service.lock || !service.update) return
  for (const included of Object.values(resource.include ?? {})) {
    const list = listOf(resource, included)
    if (list && list.field in (resource.update?.properties ?? {})) mountList(mount, list)
  }
}

function mountList(mount: Mount, list: MemberList): void {
  const { app, resource, schema, params } = mount
  const { name, label } = resource
  const parts = Object.keys(list.parameters).map(parameter => `/:${parameter}`)
  const url = `/:id/${list.field}${parts.join('')}`
  const to = `${withArticle(list.label)} to ${withArticle(label)}`
  const from = `${withArticle(list.label)} from ${withArticle(label)}`
  const contract = {
    params: Type.Object(
      { ...params.properties, ...list.parameters },
      { additionalProperties: false }
    ),
    querystring: recordQuery(mount),
    headers: requestHeaders('if-match'),
    response: recordResponse(`The ${label}.`, Ref(schema))
  }
  const add = operation(
    mount,
    'update',
    {
      operationId: `add${pascalCase(name)}${pascalCase(list.label)}`,
      summary: `Add ${to}`,
      description: `Adds ${to} that may have others. One that it has already is unchanged.`
    },
    409,
    422
  )
  const remove = operation(
    mount,
    'update',
    {
      operationId: `remove${pascalCase(name)}${pascalCase(list.label)}`,
      summary: `Remove ${from}`,
      description: `Removes ${from}, and no other. One that does not have it is unchanged.`
    },
    409,
    422
  )
  const without = (members: unknown[], member: unknown) =>
    members.filter(one => !isDeepStrictEqual(one, member))
  app.post(
    url,
    { config: add.config, schema: { ...add.schema, ...contract } },
    changing(mount, list, (members, member) =>
      without(members, member).length < members.length ? members : [...members, member]
    )
  )
  app.delete(
    url,
    { config: remove.config, schema: { ...remove.schema, ...contract } },
    changing(mount, list, without)
  )
}

/** An update of a list of a record that nobody else changes meanwhile. */
function changing(
  mount: Mount,
  { field, parameters, memberIn }: MemberList,
  change: (members: unknown[], member: unknown) => unknown[]
) {
  const { resource } = mount
  const named = Object.keys(parameters).at(-1)!
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const { ctx } = request
    const place = { id: idOf(request), field, ...defined({ versions: versionsOf(request) }) }
    const member = memberIn(request.params as Record<string, unknown>)
    const write = async () => {
      assertWritable(ctx, resource, 'update', placesOf([field]))
      return await changeMembers(
        mount,
        ctx,
        place,
        members => change(members, member),
        (detail, params) => parameterBreaksRule(named, detail, params)
      )
    }
    return await sendWritten(mount, request, reply, async () => await naming(named, write()))
  }
}

/** Waits for a write whose only new reference is a parameter of the path, which its error names. */
async function naming<T>(parameter: string, write: Promise<T>): Promise<T> {
  try {
    return await write
  } catch (error) {
    const problem = error instanceof Problem ? error : problemOfDatabase(error)
    throw problem?.code === 'unknown_reference' ? unknownReference([parameter], 'path') : error
  }
}
