import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { definePermission } from '../../../core/access/permissions.ts'
import { withCompression } from '../../../core/http/compression.ts'
import { defineTag } from '../../../core/http/operations.ts'
import { mountList } from '../../../core/http/resource-reads.ts'
import { response } from '../../../core/http/responses.ts'
import { Ref } from '../../../core/http/schema.ts'
import { ListQueryReader } from '../../../core/records/list-query.ts'
import { AuditEntry, AuditEntryPage, AuditVerification, VerificationQuery } from './schema.ts'
import { auditService, virtualFilters } from './service.ts'

const path = 'audit'
for (const action of ['read', 'export']) definePermission(`${path}:${action}`, 'administration')

const filters = [
  'type',
  'actor_id',
  'api_token_id',
  'request_id',
  'operation_id',
  'created_at'
] as const

/** The audit log, below `/api/audit`. */
const routes: FastifyPluginAsyncTypebox = async app => {
  for (const schema of [AuditEntry, AuditEntryPage, AuditVerification]) app.addSchema(schema)
  const tags = [defineTag(path, 'Who did what: changes of records, logins, refusals, exports.')]
  const query = new ListQueryReader({ path, schema: AuditEntry, filters, virtualFilters })
  const resource = { path, plural: 'audit_entries', pluralLabel: 'entries of the audit log' }
  await withCompression(app, app => {
    mountList({ app, resource, service: auditService, schema: AuditEntry, relations: {}, query })
  })

  app.get(
    '/verification',
    {
      config: { permission: `${path}:read` },
      schema: {
        operationId: 'verifyAudit',
        summary: 'Verify the audit log',
        description:
          'Recomputes the chain of hashes of the audit log, a part of it per request, and names ' +
          'the first entry that does not match.',
        tags,
        querystring: VerificationQuery,
        response: response(200, 'What was found.', Ref(AuditVerification))
      }
    },
    async ({ ctx, query }) => await auditService.verify(ctx, query)
  )
}

export default routes
