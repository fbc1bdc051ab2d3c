import { collection } from '../../../core/records/repository.ts'
import { tags } from './table.ts'

export const {
  list,
  stream,
  get,
  find,
  create,
  createMany,
  update,
  remove,
  restore,
  history,
  cacheKey
} = collection('tag', tags)
