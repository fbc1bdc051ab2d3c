import { collection } from '../../kit/collection.ts'
import { opportunities } from './table.ts'

export const { list, stream, get, find, create, createMany, update, remove, restore, history, cacheKey } = collection('opportunity', opportunities)
