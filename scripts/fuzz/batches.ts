import { allResources } from '../../src/core/records/resource.ts'
import type { Random } from './random.ts'
import type { Values } from './values.ts'

const operations = [
  'create',
  'update',
  'delete',
  'restore',
  'upsert',
  'complete',
  'qualify',
  'convert'
]

/**
 * A batch of operations that there are, on records that there may be. The document only says that
 * their data is that of the single requests.
 */
export function batchOf(random: Random, values: Values): object {
  const count = random.integer(1, 8)
  return {
    mode: random.pick(['atomic', 'independent']),
    operations: Array.from({ length: count }, (_, i) => operationOf(random, values, i))
  }
}

function operationOf(random: Random, values: Values, index: number): object {
  const { name, create, update } = random.pick(allResources().filter(({ schema }) => schema))
  const op = random.pick(operations)
  const isNew = op === 'create' || op === 'upsert'
  const schema = isNew ? create : update
  const takesData = isNew || op === 'update' || random.chance(0.1)
  const id =
    index > 0 && random.chance(0.3) ? { $ref: `r${random.integer(0, index - 1)}` } : values.ids()
  return {
    op,
    type: name,
    ref: `r${index}`,
    ...(!isNew && { id }),
    ...(op === 'upsert' && {
      match: random.pick([{ email: 'a@example.com' }, { external: { erp: 'A-42' } }, { id }])
    }),
    ...(random.chance(0.2) && { if_match: random.integer(1, 3) }),
    ...(takesData &&
      schema?.$id !== undefined && {
        data: values.valid({ $ref: `#/components/schemas/${schema.$id}` })
      })
  }
}
