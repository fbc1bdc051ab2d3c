import { allResources, groupOf } from '../../src/core/records/resource.ts'
import type { Random } from './random.ts'
import type { Values } from './values.ts'

const operations = ['create', 'update', 'delete', 'restore', 'upsert']
const actions: Record<string, string[]> = { activity: ['complete'], lead: ['qualify', 'convert'] }

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
  const types = allResources().filter(one => one.schema && groupOf(one) === 'records')
  const { name, create, update } = random.pick(types)
  const op = random.pick([...operations, ...(actions[name] ?? [])])
  const isNew = op === 'create' || op === 'upsert'
  const schema = isNew ? create : update
  const isChange = isNew || op === 'update'
  const earlier = () => ({ $ref: `r${random.integer(0, index - 1)}` })
  const id = index > 0 && random.chance(0.3) ? earlier() : values.ids()
  const matches = [{ email: 'a@example.com' }, { external: { erp: 'A-42' } }]
  return {
    op,
    type: name,
    ref: `r${index}`,
    ...(!isNew && { id }),
    ...(op === 'upsert' && { match: random.pick(matches) }),
    ...(op !== 'create' &&
      op !== 'restore' &&
      random.chance(0.2) && { if_match: random.integer(1, 3) }),
    ...(isChange && { data: values.valid({ $ref: `#/components/schemas/${schema?.$id}` }) })
  }
}
