import { defined } from '../defined.ts'
import { explained } from '../http/schema.ts'

const inQuotes = '"([^"]|"")+"'
const plain = '[^\\s",][^,]*'

/**
 * The pattern of a list of up to 100 values of the pattern `one`, by default any text. They are
 * separated by commas and may be in double quotes, as one with a comma must be.
 */
export function listPattern(what: string, one?: string, allowed?: string[]): string {
  const value = one === undefined ? `(${inQuotes}|${plain})` : `("${one}"|${one})`
  const quotes = one === undefined ? '; a value with a comma must be in double quotes' : ''
  return explained(
    `^${value}(,${value}){0,99}$`,
    `must be ${what}, separated by commas, at most 100${quotes}`,
    allowed ? 'names' : what,
    defined({ allowed, maximum: 100 })
  )
}

/** The values of a list that matches its pattern: `"Acme, ""A"" Inc.",Apple` has two. */
export const valuesIn = (list: string): string[] =>
  [...list.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain]) =>
    quoted === undefined ? plain! : quoted.replaceAll('""', '"')
  )

/** A list of values, quoted where that is necessary. */
export const quotedList = (values: string[]): string =>
  values
    .map(value => (/^\s|[,"]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value))
    .join(',')
