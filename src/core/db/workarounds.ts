import { isUnreachable } from '../errors.ts'

/**
 * postgres.js 3.4.9 (porsager/postgres#1181): when a statement fails after it has sent rows, the
 * next result on that connection begins with as many holes. They always come first.
 */
export const withoutHoles = <T>(result: T): T =>
  Array.isArray(result) && result.length > 0 && !(0 in result)
    ? (result.filter(() => true) as T)
    : result

/**
 * postgres.js 3.4.9: when a server dies while a connection to it is being opened, a rejection
 * reaches nobody; the queries get errors of their own. Returns whether `error` is such a one.
 */
export const isLostConnection = (error: unknown): boolean => isUnreachable(error)
