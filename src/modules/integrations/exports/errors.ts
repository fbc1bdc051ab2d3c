import { Problem } from '../../../core/errors.ts'

/** For a file that has more than the caller may export now. */
export const otherRights = () =>
  new Problem(403, 'forbidden', 'This requires all rights that the export was made with.')
