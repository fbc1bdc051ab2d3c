import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { crud } from '../../kit/crud.ts'
import { NewUser, User, UserChanges, UserSummary } from './schema.ts'
import * as users from './service.ts'
import { searchable } from './table.ts'

const routes: FastifyPluginAsyncTypebox = async app => {
  app.addSchema(UserSummary)
  crud(app, users, {
    one: 'user', many: 'users', record: User, create: NewUser, update: UserChanges,
    filter: ['id', 'username', 'email', 'role', 'status', 'created_at', 'updated_at'],
    sort: ['id', 'username', 'email', 'created_at', 'updated_at'],
    search: searchable
  })
}

export default routes
