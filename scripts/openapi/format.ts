/**
 * Number of levels that are broken into lines, by top-level key: each part of an operation has a
 * line of its own, and so has each component and each part of a request of the collection.
 */
const depths: Record<string, number> = { paths: 4, components: 3, item: 5 }

/** Formats the document compactly, in lines that make readable diffs. */
export const formatDocument = (document: object): string => `${format(document, 2, depths)}\n`

function format(value: unknown, depth: number, deeper: Record<string, number> = {}): string {
  if (depth === 0 || typeof value !== 'object' || value === null) return JSON.stringify(value)
  const isList = Array.isArray(value)
  const items = Object.entries(value).map(([key, item]) => {
    const text = format(item, (deeper[key] ?? depth) - 1)
    return isList ? text : `${JSON.stringify(key)}: ${text}`
  })
  if (items.length === 0) return isList ? '[]' : '{}'
  const [open, close] = isList ? '[]' : '{}'
  return `${open}\n${items.map(indent).join(',\n')}\n${close}`
}

const indent = (text: string) => text.replaceAll(/^/gm, '  ')
