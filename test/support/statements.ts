import { parse } from 'acorn'
import { full } from 'acorn-walk'
import { stripTypeScriptTypes } from 'node:module'

/** The number of statements and declarations in TypeScript source; formatting does not change it. */
export function statementsIn(source: string): number {
  const program = parse(stripTypeScriptTypes(source), {
    ecmaVersion: 'latest',
    sourceType: 'module'
  })
  let count = 0
  full(program, ({ type }) => {
    if (/(Statement|Declaration)$/.test(type) && type !== 'BlockStatement') count++
  })
  return count
}
