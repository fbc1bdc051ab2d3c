import { createHmac, timingSafeEqual } from 'node:crypto'
import { invalidParameter } from '../errors.ts'

/** The values of a row's sort keys: the place in a list after which the next page begins. */
export type Position = (string | number | null)[]

export interface Cursors {
  /** `list` identifies the list: organization, resource, filters and sort. */
  seal: (position: Position, list: string) => string
  /** Errors: 400 for a cursor of another list, or one that was not sealed here. */
  open: (cursor: string, list: string) => Position
}

/**
 * Cursors are opaque and signed, so that one of another organization, filter or sort is refused
 * instead of misread.
 */
export function cursors(secret: string): Cursors {
  const signature = (payload: string, list: string) =>
    createHmac('sha256', secret).update(`${payload}\n${list}`).digest('base64url').slice(0, 16)
  return {
    seal(position, list) {
      const payload = Buffer.from(JSON.stringify(position)).toString('base64url')
      return `${payload}.${signature(payload, list)}`
    },
    open(cursor, list) {
      const [payload = '', proof = ''] = cursor.split('.')
      if (
        proof.length !== 16 ||
        !timingSafeEqual(Buffer.from(proof), Buffer.from(signature(payload, list)))
      ) {
        throw invalidParameter(
          'cursor',
          'The cursor does not belong to this list: use it with the same filters and sort order.',
          { expected: 'cursor_of_this_list' }
        )
      }
      return JSON.parse(Buffer.from(payload, 'base64url').toString()) as Position
    }
  }
}
