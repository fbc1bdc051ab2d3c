import type { TObject } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ruleBroken } from '../../../core/errors.ts'
import { operation, type Mount } from '../../../core/http/resource-mount.ts'
import { extendResources } from '../../../core/http/resource-routes.ts'
import { response } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { pascalCase } from '../../../core/names.ts'
import { groupOf } from '../../../core/records/resource.ts'
import { actionFor, changeMatching, type Change } from './service.ts'
import { MassChange, MassDeletion, massUpdateOf, MassTagging } from './schema.ts'

/** A validated body; what it has besides the filter depends on the change. */
interface Sent {
  filter: string
  expected_count?: number
  data?: object
  add?: number[]
  remove?: number[]
}

const rest =
  ' Up to 1,000 are changed immediately, the others by a job (202, `Location`). Records that ' +
  'cannot be changed are `failures`, and keep no others from being changed. All of it is one ' +
  'operation, which can be undone.'

/** Mounts the changes of all records of a resource that match a filter. */
function mountMassChanges(mount: Mount): void {
  const { app, resource, service } = mount
  const { list, update, remove, lock } = service
  if (groupOf(resource) !== 'records' || !list) return
  app.addSchema(MassChange)
  if (update && resource.update) {
    const body = massUpdateOf(resource)
    mountChange(mount, 'update', body, 'Changes the given fields of', ({ data = {} }) => ({
      op: 'update',
      data
    }))
  }
  if (remove) mountChange(mount, 'delete', MassDeletion, 'Deletes', () => ({ op: 'delete' }))
  if (update && lock && 'tags' in (resource.update?.properties ?? {}))
    mountChange(
      mount,
      'tag',
      MassTagging,
      'Adds and removes tags of',
      ({ add = [], remove = [] }) => {
        if (add.length + remove.length === 0) throw nothingToTag()
        return { op: 'tag', add, remove }
      }
    )
}

const nothingToTag = () =>
  ruleBroken(['add', 'remove'], 'At least one tag to add or to remove is required.', {
    rule: 'required'
  })

function mountChange(
  mount: Mount,
  op: Change['op'],
  body: TObject,
  does: string,
  changeIn: (sent: Sent) => Change
): void {
  const { app, resource } = mount
  const { pluralLabel, plural } = resource
  app.addSchema(body)
  const { config, schema } = operation(
    mount,
    actionFor(op),
    {
      operationId: `mass${pascalCase(op)}${pascalCase(plural)}`,
      summary: `${summaries[op]} ${pluralLabel} by filter`,
      description: `${does} all ${pluralLabel} that match a filter.${rest}`
    },
    409,
    422
  )
  const result = Ref(MassChange)
  app.post(
    `/mass-${op}`,
    {
      config,
      schema: {
        ...schema,
        body: Ref(body),
        response: {
          ...response(200, 'The result.', result),
          ...response(202, 'The result so far: a job changes the others.', result, 'Location')
        }
      }
    },
    async (request: FastifyRequest, reply: FastifyReply) => {
      const sent = request.body as Sent
      const result = await changeMatching(request.ctx, mount, changeIn(sent), sent)
      if (result.job_id === null) return result
      return reply.code(202).header('location', `/api/jobs/${result.job_id}`).send(result)
    }
  )
}

const summaries = { update: 'Update', delete: 'Delete', tag: 'Tag' } as const

extendResources(mountMassChanges)
