// What goes around the organization of a statement, or around the rights of its caller, is listed
// here. Whoever adds a line says why it may.
import t from 'tap'
import { filesBelow, sourceOf } from './support/sources.ts'

/** The ways around, and how often which file may go them. */
const ways: Record<string, { pattern: RegExp; permitted: Record<string, number> }> = {
  'rows that the caller may not read': {
    pattern: /\beveryRow\(/g,
    permitted: {
      'core/records/hierarchy.ts': 1, // whether there is a cycle
      'core/records/undo-writes.ts': 2, // whether what is undone is in use
      'modules/automation/scoring/rules.ts': 2, // a score does not depend on who computes it
      'modules/automation/scoring/service.ts': 1,
      'modules/identity/access/service.ts': 1, // whether there is a record to be explained
      'modules/identity/roles/service.ts': 1, // whether a provider gives a role
      'modules/sales/stages/queries.ts': 2 // whether a stage is in use
    }
  },
  'the rights of the system': {
    pattern: /\.unlimited\b/g,
    permitted: {
      'core/access/context.ts': 2, // its definition
      'core/access/permissions.ts': 1,
      'http/limits.ts': 1, // routes without a rate limit
      'modules/crm/leads/service.ts': 3, // a score follows from a change that was allowed
      'modules/identity/access/service.ts': 5, // the roles, shares and tokens that explain it
      'modules/identity/api-tokens/service.ts': 1, // whether the user of a token is there
      'modules/identity/users/service.ts': 1, // the tokens of a user who is deleted
      'modules/sales/stages/service.ts': 2 // opportunities of a stage that was moved or deleted
    }
  },
  'records of all organizations': {
    pattern: /\bacrossOrganizations\(/g,
    permitted: {
      'core/db/expiry.ts': 1, // what has expired
      'modules/integrations/connections/queries.ts': 1, // how far all integrations are
      'modules/integrations/exports/leases.ts': 2, // what is to be done next; files in use
      // credentials, before it is known whose they are
      'modules/identity/auth/queries.ts': 7,
      'modules/identity/auth/table.ts': 1,
      'modules/identity/identity-providers/queries.ts': 2, // of the user who logs in
      'modules/identity/invitations/queries.ts': 1,
      'modules/identity/password-resets/queries.ts': 3,
      'modules/identity/sign-in/queries.ts': 4,
      'modules/integrations/deliveries/queries.ts': 3 // what is due, and whose feed has gone on
    }
  },
  'a context of the system': {
    pattern: /\bContext\.system\(/g,
    permitted: {
      'jobs/authors.ts': 1,
      'modules/identity/auth/service.ts': 1, // who is not logged in yet
      'modules/identity/invitations/service.ts': 1, // an invitation makes a user
      'modules/identity/organizations/service.ts': 1, // an organization that is created
      'modules/identity/organizations/signup.ts': 1,
      'modules/identity/password-resets/service.ts': 1,
      'modules/identity/sign-in/service.ts': 1, // who signs in is found out, or made
      // what is read is limited by the rights of the author of a webhook
      'modules/integrations/deliveries/expansion.ts': 1,
      'modules/integrations/deliveries/replay.ts': 1,
      'modules/integrations/deliveries/sending.ts': 1
    }
  },
  'a context of a principal': {
    pattern: /\bnew Context\(/g,
    permitted: {
      'core/access/context.ts': 2,
      'http/auth.ts': 1,
      'core/records/snapshot.ts': 1, // the same caller, on another connection
      'modules/identity/access/service.ts': 1, // someone whose rights are explained
      'modules/identity/auth/service.ts': 1 // the author of a job or webhook
    }
  },
  'statements without a context': {
    pattern: /\browsOf(<[^>]*>)?\(/g,
    permitted: {
      'core/access/context.ts': 1,
      'core/db/sql.ts': 1,
      'http/health.ts': 1,
      'core/db/expiry.ts': 1, // of all organizations
      'modules/integrations/exports/leases.ts': 2, // the next one of any organization; files in use
      'jobs/runner.ts': 2, // abandoned jobs of all organizations
      // before there is a context
      'modules/identity/auth/queries.ts': 5,
      'modules/identity/auth/service.ts': 3,
      'modules/identity/auth/throttle.ts': 1,
      'modules/identity/invitations/queries.ts': 1,
      'modules/identity/organizations/service.ts': 1,
      'modules/identity/password-resets/queries.ts': 2,
      'modules/identity/password-resets/service.ts': 1,
      'modules/identity/sign-in/queries.ts': 3,
      'modules/identity/sign-in/service.ts': 2,
      'modules/integrations/connections/service.ts': 1, // of all organizations
      'modules/integrations/deliveries/service.ts': 1, // of all organizations
      'modules/reporting/reports/funnel.ts': 3 // a function of that name
    }
  }
}

const files = filesBelow('src')
/** A file without its comments. */
const codeOf = (file: string) => sourceOf(file).replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*/g, '')

for (const [way, { pattern, permitted }] of Object.entries(ways))
  t.test(`${way} are used where that is permitted`, async t => {
    for (const file of files) {
      const found = codeOf(file).match(pattern)?.length ?? 0
      const message = `${file} uses ${way}; if it has to, say why in test/statements.test.ts`
      t.equal(found, permitted[file] ?? 0, message)
    }
  })
