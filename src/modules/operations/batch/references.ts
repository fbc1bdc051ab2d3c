/** What a value refers to that stands for the ID of an earlier record: `{"$ref": "acme"}`. */
export const refIn = (value: object): string | undefined => {
  if (!('$ref' in value)) return undefined
  const { $ref, ...others } = value
  return typeof $ref === 'string' && Object.keys(others).length === 0 ? $ref : undefined
}

/** How deep data can be nested: no body of ours is deeper. */
const maxDepth = 20

/**
 * A copy of data in which references are replaced by what `idOf` returns, which gets their names
 * and their places in the data (`/account_id`).
 */
export function withIds(
  value: unknown,
  idOf: (name: string, pointer: string) => unknown,
  pointer = '',
  depth = 0
): unknown {
  if (typeof value !== 'object' || value === null || depth > maxDepth) return value
  const replaced = (item: unknown, key: string | number) =>
    typeof item === 'object' ? withIds(item, idOf, `${pointer}/${key}`, depth + 1) : item
  if (Array.isArray(value)) return value.map(replaced)
  const name = refIn(value)
  if (name !== undefined) return idOf(name, pointer)
  const copy: Record<string, unknown> = { ...value }
  for (const [key, item] of Object.entries(value)) copy[key] = replaced(item, key)
  return copy
}

/** The names of the references in data, and their places. */
export function refsIn(value: unknown): { name: string; pointer: string }[] {
  const found: { name: string; pointer: string }[] = []
  withIds(value, (name, pointer) => found.push({ name, pointer }))
  return found
}
