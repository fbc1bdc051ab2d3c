import { Type } from '@sinclair/typebox'
import { explained, keyPattern, Name } from './schema.ts'

const source = '[a-z][a-z0-9_-]{0,39}'
const sourceText =
  'up to 40 lowercase letters, digits, hyphens and underscores, the first one a letter'

/** The name of another system. */
export const sourcePattern = explained(`^${source}$`, `must be of ${sourceText}`, 'source')

const sourcesPattern = explained(
  // as the above: the pattern of keys has a text of its own
  `^(${source})$`,
  `must have names of ${sourceText}`,
  'sources'
)

/** Sources of external IDs that one record can have; drizzle/0026 has the same number. */
export const maxSources = 20

const Value = Name(255, { description: 'ID of the record in the other system.' })

/** The IDs of a record in other systems, each of which is that of one record of its kind. */
export const ExternalIds = () =>
  Type.Unsafe<Record<string, string>>({
    type: 'object',
    additionalProperties: Value,
    maxProperties: maxSources,
    [keyPattern]: sourcesPattern,
    description:
      'IDs of the record in other systems, by the name of the system. Those that are sent are ' +
      'set, one that is null is removed, and the others are unchanged.',
    example: {}
  })

/** The parameters of the path of a record by its external ID. */
export const externalIdParameters = Type.Object(
  {
    source: Type.String({
      maxLength: 40,
      pattern: sourcePattern,
      description: 'Name of the other system.',
      example: 'erp'
    }),
    value: { ...Value, example: 'A-42' }
  },
  { additionalProperties: false }
)

/** The parameter `external[<source>]` of lists. */
export const ExternalFilter = Type.Unsafe<Record<string, string>>({
  type: 'object',
  additionalProperties: Name(255),
  maxProperties: maxSources,
  [keyPattern]: sourcesPattern,
  description:
    'Has this ID in another system: `external[erp]=A-42`; or one of these IDs, separated by ' +
    'commas: `external[erp][in]=A-42,A-43`.',
  examples: [{ erp: 'A-42' }],
  style: 'deepObject',
  explode: true
})

/** `match` for external IDs, such as `external:erp`. */
export const externalMatch = `external:${source}`
