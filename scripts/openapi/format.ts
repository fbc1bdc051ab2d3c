/**
 * How many levels of the document are on lines of their own, by its first key: every operation has
 * a line for each of its parts, every component has one line.
 */
const depths: Record<string, number> = { paths: 4, components: 3 }

/** The document as text that is short, and whose diffs can be read. */
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
