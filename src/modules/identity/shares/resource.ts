import { defineShares } from '../../../core/access/reach.ts'
import { getTableName } from '../../../core/db/drizzle.ts'
import { defineResource } from '../../../core/records/resource.ts'
import { shares } from './table.ts'

/** Shares have no routes of their own: each is part of the record that is shared. */
export const shareResource = defineResource({ name: 'share', plural: 'shares', table: shares })
defineShares(getTableName(shares))
