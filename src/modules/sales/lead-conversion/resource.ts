import { defineResource } from '../../../core/records/resource.ts'
import { conversions } from './table.ts'

/** Conversions have no routes of their own: each is part of its lead. */
export const conversionResource = defineResource({
  name: 'conversion',
  plural: 'conversions',
  table: conversions
})
