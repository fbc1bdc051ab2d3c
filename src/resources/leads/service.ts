import { collection } from '../../kit/collection.ts'
import { leads } from './table.ts'

export const { list, stream, get, find, create, createMany, update, remove, restore, history, cacheKey } = collection('lead', leads)
