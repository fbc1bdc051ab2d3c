/** A mistake in `src`, and the test that has to notice it. */
export interface Mistake {
  /** What someone forgot. */
  what: string
  file: string
  /** Text that is there once, and what is there instead of it. */
  from: string
  to: string
  test: string
  /** The subtests to run; all of them if absent. */
  only?: string
}

const reach = { test: 'modules/identity/reach.test.ts' }
const roles = (only: string) => ({ test: 'modules/identity/roles.test.ts', only })
const fields = (only: string) => ({ test: 'modules/identity/field-rights.test.ts', only })
const reading = { test: 'core/db/tenants.test.ts', only: 'reading looks at' }
const writing = { test: 'core/db/tenants.test.ts', only: 'writing looks at' }

export const mistakes: Mistake[] = [
  {
    what: 'a list forgets the organization',
    file: 'core/records/list.ts',
    from: "sql`${columnNamed(table, 'organization_id')} = ${sql.placeholder('organization')}`,",
    to: '',
    ...reading
  },
  {
    what: 'a record is read by its ID alone',
    file: 'core/records/statements.ts',
    from: 'const byId = sql`organization_id = ${organization} and id',
    to: 'const byId = sql`id',
    ...reading
  },
  {
    what: 'a reference points into another organization',
    file: 'core/records/statement-parts.ts',
    from: 'where target.organization_id = ${organization} and target.id = ${value}',
    to: 'where target.id = ${value}',
    ...writing
  },
  {
    what: 'the subquery for SQL of modules forgets the organization',
    file: 'core/db/sql.ts',
    from: 'sql.join([sql`organization_id = ${organization}`, ...conditions]',
    to: 'sql.join([sql`true`, ...conditions]',
    ...reading
  },
  {
    what: 'SQL of a module reads a bare table',
    file: 'modules/crm/activities/queries.ts',
    from: 'join ${ours(activities)} on',
    to: 'join ${activities} on',
    test: 'architecture.test.ts',
    only: 'without its organization'
  },
  {
    what: 'a list forgets the reach',
    file: 'core/records/list.ts',
    from: "reached(few ? 'few' : 'read', getTableName(table)),",
    to: '',
    ...reach
  },
  {
    what: 'a record is read without the reach',
    file: 'core/records/statements.ts',
    from: 'const one = sql`where ${byId} and ${mayRead}`',
    to: 'const one = sql`where ${byId}`',
    ...roles('a manager reaches')
  },
  {
    what: 'an include forgets the reach',
    file: 'core/records/statements.ts',
    from: 'const many = sql`where ${byIds} and ${mayRead}`',
    to: 'const many = sql`where ${byIds}`',
    ...reach
  },
  {
    what: 'reports, and filters by related records, forget the reach',
    file: 'core/db/sql.ts',
    from: "shownColumns(name), ...conditions, reached('read', name))",
    to: 'shownColumns(name), ...conditions)',
    ...reach
  },
  {
    what: 'a change forgets the reach',
    file: 'core/records/statement-parts.ts',
    from: "allowed: and(this.mayDo('update'), this.#mayReassign(columns, given))!",
    to: 'allowed: and(sql`true`, this.#mayReassign(columns, given))!',
    ...reach
  },
  {
    what: 'an export has the reach of reading',
    file: 'core/access/context.ts',
    from: "Reached.by(this.principal.access, 'export')",
    to: 'Reached.by(this.principal.access)',
    ...roles('an export has')
  },
  {
    what: 'SQL of a module has the rights of the system',
    file: 'modules/reporting/reports/service.ts',
    from: 'import ',
    to: 'const all = (ctx: Context) => ctx.unlimited\nimport ',
    test: 'statements.test.ts',
    only: 'rights of the system'
  },
  {
    what: 'a list shows hidden fields',
    file: 'core/records/list-query.ts',
    from: 'if (text === undefined) return shownFields(ctx, this.#contract)',
    to: 'if (text === undefined) return undefined',
    ...fields('in no answer')
  },
  {
    what: 'a history shows hidden fields',
    file: 'core/http/resource-reads.ts',
    from: 'data.map(event => shownEvent(ctx, resource, event))',
    to: 'data',
    ...fields('in no answer')
  },
  {
    what: 'a filter tells of hidden fields',
    file: 'core/records/filter-language.ts',
    from: 'if (hidden !== undefined) throw unknownParameter(hidden)',
    to: '',
    ...fields('can anything be asked')
  },
  {
    what: 'a route forgets its permission',
    file: 'modules/crm/timeline/routes.ts',
    from: 'config: { permission: `${path}:read` },',
    to: 'config: { public: true },',
    test: 'credentials.test.ts',
    only: 'are public'
  },
  {
    what: 'permissions are not asked for',
    file: 'http/auth.ts',
    from: 'if (!principal.access.can(permission)) return forbidden(permission)',
    to: '',
    test: 'credentials.test.ts',
    only: 'a viewer gets'
  },
  {
    what: 'the audience of a token is not checked',
    file: 'http/auth.ts',
    from: 'allowedAud: issuer,',
    to: '',
    test: 'credentials.test.ts',
    only: 'forged'
  },
  {
    what: 'the scopes of an API token do not count',
    file: 'core/access/permissions.ts',
    from: "return isForTokens(permission) && (scopes.includes('*') || scopes.includes(permission))",
    to: 'return isForTokens(permission) && scopes.length > 0',
    test: 'credentials.test.ts',
    only: 'every scope but'
  },
  {
    what: 'a cached record has no organization in its key',
    file: 'core/records/repository.ts',
    from: 'return `${ctx.organization_id}/${this.name}/${id}`',
    to: 'return `${this.name}/${id}`',
    test: 'core/db/tenants.test.ts',
    only: 'the cache'
  },
  {
    what: 'the audit log shows values to those who may not read the records',
    file: 'modules/identity/audit/service.ts',
    from: "resource && ctx.principal.access.reachOf(`${resource.path}:read`) === 'all'",
    to: 'resource',
    test: 'modules/identity/audit.test.ts',
    only: 'it is for admins'
  },
  {
    what: 'a job has the rights of the system',
    file: 'jobs/runner.ts',
    from: 'permission === undefined ? system : await asAuthor(system, permission, api_token_id)',
    to: 'system',
    test: 'jobs/authors.test.ts'
  }
]
