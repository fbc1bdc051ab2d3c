import { createRequire } from 'node:module'

/**
 * What we use of Drizzle, from its CommonJS build. For each file of an ES module Node reads the
 * `package.json` it belongs to anew, and Drizzle has hundreds of files beside one of 179 kB:
 * importing it costs 1.3 s and 200 MB of memory, this does not. Types come from 'drizzle-orm'
 * itself, by `import type`.
 */
// drizzle-kit reads the tables as CommonJS
const require = createRequire(import.meta.filename ?? __filename)

export const { and, Column, fillPlaceholders, getTableColumns, getTableName, is, SQL, sql } =
  require('drizzle-orm') as typeof import('drizzle-orm')

export const {
  bigint,
  boolean,
  check,
  customType,
  date,
  foreignKey,
  getTableConfig,
  index,
  integer,
  jsonb,
  numeric,
  PgDialect,
  pgTable,
  primaryKey,
  smallint,
  text,
  timestamp,
  unionAll,
  unique,
  uniqueIndex,
  varchar
} = require('drizzle-orm/pg-core') as typeof import('drizzle-orm/pg-core')

export const { drizzle } =
  require('drizzle-orm/postgres-js') as typeof import('drizzle-orm/postgres-js')
export const { migrate } =
  require('drizzle-orm/postgres-js/migrator') as typeof import('drizzle-orm/postgres-js/migrator')
