import { parse, type Node } from 'acorn'
import { full } from 'acorn-walk'
import { readdirSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import path from 'node:path'

/** The TypeScript files below a folder, relative to it, with forward slashes. */
export const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.ts'))
    .map(file => file.replaceAll(path.sep, '/'))

/** The text of a file in `src`. */
export const sourceOf = (file: string): string => readFileSync(`src/${file}`, 'utf8')

/** The files in `src` that a file in `src` imports, types included. */
export const importsOf = (file: string): string[] =>
  [...sourceOf(file).matchAll(/(?:from|import\() ?'(\.[^']+)'/g)].map(([, to]) =>
    path.posix.join(path.posix.dirname(file), to!)
  )

const treeOf = (source: string) =>
  parse(stripTypeScriptTypes(source), { ecmaVersion: 'latest', sourceType: 'module' })

/** The number of statements and declarations in TypeScript source, however it is formatted. */
export function statementsIn(source: string): number {
  let count = 0
  full(treeOf(source), ({ type }) => {
    if (/(Statement|Declaration)$/.test(type) && type !== 'BlockStatement') count++
  })
  return count
}

/** The template literals with this tag in TypeScript source, as they are written. */
export function templatesIn(source: string, tag: string): string[] {
  const plain = stripTypeScriptTypes(source)
  const templates: string[] = []
  full(treeOf(source), node => {
    if (node.type !== 'TaggedTemplateExpression') return
    const { tag: used, quasi } = node as unknown as { tag: { name?: string }; quasi: Node }
    if (used.name === tag) templates.push(plain.slice(quasi.start, quasi.end))
  })
  return templates
}

/** The number of lines of each function in TypeScript source. */
export function functionLengthsIn(source: string): number[] {
  const lengths: number[] = []
  full(treeOf(source), ({ type, start, end }) => {
    if (/Function/.test(type)) lengths.push(source.slice(start, end).split('\n').length)
  })
  return lengths
}

/** The words in the string literals of TypeScript source, lower-case. */
export function wordsInStrings(source: string): Set<string> {
  const words = new Set<string>()
  full(treeOf(source), node => {
    const text =
      node.type === 'Literal'
        ? (node as unknown as { value: unknown }).value
        : (node as unknown as { value?: { cooked?: string } }).value?.cooked
    if (typeof text !== 'string') return
    for (const word of text.toLowerCase().match(/[a-z_]+/g) ?? []) words.add(word)
  })
  return words
}
