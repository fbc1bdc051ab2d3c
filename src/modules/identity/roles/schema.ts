import { Type } from '@sinclair/typebox'
import { actions, reaches } from '../../../core/access/permissions.ts'
import {
  Change,
  Creation,
  explained,
  FieldNames,
  Id,
  Name,
  Nullable,
  OneOf,
  RecordOf,
  Text
} from '../../../core/http/schema.ts'
import { maxRoleName } from './table.ts'

const grant = Type.Object(
  {
    resource: Type.String({
      minLength: 1,
      maxLength: 60,
      pattern: explained('^[a-z-]+$', 'must be the path of a resource, or a group', 'resource'),
      description:
        'Resource, by its path (`contacts`), or a group of them: `records` are those that people ' +
        'work with; `settings` configure these, and most roles should read them, since they ' +
        'have the names of stages; `administration` is about users and roles.',
      example: 'contacts'
    }),
    actions: Type.Array(OneOf(actions), {
      minItems: 1,
      maxItems: actions.length,
      uniqueItems: true,
      description: 'What is allowed. `delete` includes restoring; `export` is CSV and NDJSON.',
      example: ['read', 'update']
    }),
    reach: OneOf(reaches, {
      description:
        'Which records. own: created by or assigned to the user; team: by or to members of the ' +
        "user's teams and of the teams below them; all. Settings, tags, users, roles and the " +
        'audit log belong to nobody: any reach is all of them.',
      example: 'team'
    }),
    hidden_fields: Type.Optional(
      FieldNames(
        'Fields that are not shown: not in answers, history, timelines and exports, nor can ' +
          'lists be filtered, sorted or searched by them. Only for a single resource that people ' +
          'work with; fields that name or identify a record cannot be hidden.',
        ['phone']
      )
    ),
    read_only_fields: Type.Optional(
      FieldNames('Fields that are shown, and cannot be changed.', ['company'])
    )
  },
  { additionalProperties: false }
)

const example = [{ resource: 'contacts', actions: ['read', 'update'], reach: 'team' }]
const fields = {
  name: Name(maxRoleName, {
    description: 'Name, unique regardless of case.',
    example: 'Sales assistant'
  }),
  description: Nullable(
    Text(500, { description: 'What the role is for.', example: 'Prepares calls for a team.' })
  ),
  grants: Type.Array(grant, {
    maxItems: 100,
    description:
      'What the role allows. Of several grants for an action, also of several roles of a user, ' +
      'the one that reaches farthest counts; a field is hidden or read-only only if it is so in ' +
      'all of them.',
    example
  })
}
const serverSet = {
  is_built_in: Type.Boolean({
    description: 'Whether it came with the organization and cannot be changed.',
    example: false
  })
}

export const Role = RecordOf('Role', 'What users may do.', { ...fields, ...serverSet }, 6)
export const NewRole = Creation(
  'NewRole',
  {
    ...fields,
    based_on: Id({
      description: 'Role that the new one starts from: without `grants`, it gets the same.',
      example: 4
    })
  },
  ['name'],
  { name: 'Sales assistant', grants: example }
)
export const RoleChanges = Change('RoleChanges', fields, { grants: example })
