import { repository } from '../../../core/records/repository.ts'
import { tagResource } from './resource.ts'

export const tagService = repository(tagResource)
