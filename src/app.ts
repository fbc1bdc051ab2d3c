import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import type { Config } from './config.ts'
import { closeServices, createServices, type ServicesConfig } from './services.ts'
import { authentication, authorization } from './http/auth.ts'
import { health } from './http/health.ts'
import { limits } from './http/limits.ts'
import { RequestLog, withoutChildren } from './http/log.ts'
import { openapi } from './http/openapi/plugin.ts'
import { problems, querystringParser, sendProblem } from './http/problems.ts'
import { proxyWarning } from './http/proxy-warning.ts'
import { clientErrorHandler, requestId, security } from './http/security.ts'
import { strictQueries, validation } from './http/validation.ts'
import { writeTransactions } from './http/writes/plugin.ts'
import batch from './modules/operations/batch/routes.ts'
import access from './modules/identity/access/routes.ts'
import accounts from './modules/crm/accounts/routes.ts'
import activities from './modules/crm/activities/routes.ts'
import apiTokens from './modules/identity/api-tokens/routes.ts'
import audit from './modules/identity/audit/routes.ts'
import assignmentRules from './modules/automation/assignment/routes.ts'
import auth, { endOfSessionRoutes } from './modules/identity/auth/routes.ts'
import campaignMembers from './modules/marketing/campaign-members/routes.ts'
import campaigns from './modules/marketing/campaigns/routes.ts'
import contacts from './modules/crm/contacts/routes.ts'
import deliveries, { ofWebhooks } from './modules/integrations/deliveries/routes.ts'
import events, { eventTypeRoutes } from './modules/integrations/events/routes.ts'
import exports from './modules/integrations/exports/routes.ts'
import identityProviders from './modules/identity/identity-providers/routes.ts'
import integrations from './modules/integrations/connections/routes.ts'
import invitations, { acceptanceRoutes } from './modules/identity/invitations/routes.ts'
import jobs from './modules/operations/jobs/routes.ts'
import leadConversion from './modules/sales/lead-conversion/routes.ts'
import leads from './modules/crm/leads/routes.ts'
import operations from './modules/operations/operations/routes.ts'
import opportunities from './modules/sales/opportunities/routes.ts'
import passwordResets from './modules/identity/password-resets/routes.ts'
import organization from './modules/identity/organizations/routes.ts'
import pipelines from './modules/sales/pipelines/routes.ts'
import problemCodes from './http/problem-codes.ts'
import roles from './modules/identity/roles/routes.ts'
import reports from './modules/reporting/reports/routes.ts'
import secondFactors from './modules/identity/second-factors/routes.ts'
import scoringModels, { leadScoreRoutes } from './modules/automation/scoring/routes.ts'
import shares from './modules/identity/shares/routes.ts'
import signIn from './modules/identity/sign-in/routes.ts'
import stages from './modules/sales/stages/routes.ts'
import tags from './modules/crm/tags/routes.ts'
import teams from './modules/automation/teams/routes.ts'
import territories from './modules/automation/territories/routes.ts'
import signupRoutes from './modules/identity/organizations/signup-routes.ts'
import stageHistory from './modules/sales/stage-history/routes.ts'
import timeline from './modules/crm/timeline/routes.ts'
import { pipelineService } from './modules/sales/pipelines/service.ts'
import users from './modules/identity/users/routes.ts'
import webhooks from './modules/integrations/webhooks/routes.ts'
import './modules/operations/mass-changes/routes.ts'
import { version } from './version.ts'

export type AppConfig = ServicesConfig &
  Pick<Config, 'cors_origins' | 'trust_proxy' | 'rate_limit_max' | 'rate_limit_organization_max'> &
  Partial<Pick<Config, 'public_url' | 'signup'>>

/** The application, ready to listen or to be injected into. Its database must be migrated. */
export async function buildApp(config: AppConfig, logger: FastifyBaseLogger) {
  const app = createServer(config, logger)
  const services = createServices(config)
  app.addHook('onClose', async () => {
    await closeServices(services)
  })

  await app.register(strictQueries)
  await app.register(problems)
  if (config.trust_proxy.length === 0) await app.register(proxyWarning)
  await app.register(security, { origins: config.cors_origins })
  await app.register(authentication, {
    services,
    secret: config.jwt_secret,
    database_url: config.database_url
  })
  await app.register(limits, {
    max: config.rate_limit_max,
    organization_max: config.rate_limit_organization_max,
    redis_url: config.redis_url
  })
  await app.register(openapi, { version, public_url: config.public_url })
  await app.register(authorization)
  await app.register(writeTransactions)
  app.addHook('onListen', async () => {
    services.sequencer.start(config.database_url)
  })
  app.addHook('preClose', async () => {
    await services.sequencer.stop()
  })
  await app.register(health, { services })

  await registerModules(app, config)
  return app
}

/** What there is an API for, one line each. */
async function registerModules(app: FastifyInstance, config: AppConfig): Promise<void> {
  const { signup, cors_origins: origins, public_url = 'http://127.0.0.1:3000' } = config
  await app.register(auth, { prefix: '/api/auth' })
  await app.register(secondFactors, { prefix: '/api/auth/second-factor' })
  await app.register(acceptanceRoutes, { prefix: '/api/auth/invitations' })
  await app.register(passwordResets, { prefix: '/api/auth/password-resets' })
  await app.register(signIn, { prefix: '/api/auth', origins, public_url })
  await app.register(endOfSessionRoutes, { prefix: '/api/auth' })
  await app.register(contacts, { prefix: '/api/contacts' })
  await app.register(accounts, { prefix: '/api/accounts' })
  await app.register(leads, { prefix: '/api/leads' })
  await app.register(leadConversion, { prefix: '/api/leads' })
  await app.register(leadScoreRoutes, { prefix: '/api/leads' })
  await app.register(opportunities, { prefix: '/api/opportunities' })
  await app.register(stageHistory, { prefix: '/api' })
  await app.register(activities, { prefix: '/api/activities' })
  await app.register(timeline, { prefix: '/api' })
  await app.register(campaigns, { prefix: '/api/campaigns' })
  await app.register(campaignMembers, { prefix: '/api/campaign-members' })
  await app.register(shares, { prefix: '/api' })
  await app.register(reports, { prefix: '/api/reports' })
  await app.register(tags, { prefix: '/api/tags' })
  await app.register(pipelines, { prefix: '/api/pipelines' })
  await app.register(stages, { prefix: '/api/stages' })
  await app.register(scoringModels, { prefix: '/api/scoring-models' })
  await app.register(assignmentRules, { prefix: '/api/assignment-rules' })
  await app.register(teams, { prefix: '/api/teams' })
  await app.register(territories, { prefix: '/api/territories' })
  await app.register(users, { prefix: '/api/users' })
  await app.register(organization, { prefix: '/api/organization' })
  await app.register(access, { prefix: '/api/access' })
  await app.register(audit, { prefix: '/api/audit' })
  await app.register(events, { prefix: '/api/events' })
  await app.register(eventTypeRoutes, { prefix: '/api/event-types' })
  await app.register(webhooks, { prefix: '/api/webhooks' })
  await app.register(deliveries, { prefix: '/api/deliveries' })
  await app.register(ofWebhooks, { prefix: '/api/webhooks' })
  await app.register(integrations, { prefix: '/api/integrations' })
  await app.register(operations, { prefix: '/api/operations' })
  await app.register(jobs, { prefix: '/api/jobs' })
  await app.register(apiTokens, { prefix: '/api/api-tokens' })
  await app.register(invitations, { prefix: '/api/invitations' })
  await app.register(roles, { prefix: '/api/roles' })
  await app.register(identityProviders, { prefix: '/api/identity-providers', public_url })
  await app.register(signupRoutes, {
    prefix: '/api/organizations',
    isOpen: signup === 'open',
    provision: pipelineService.createDefault
  })
  await app.register(exports, { prefix: '/api/exports' })
  await app.register(batch, { prefix: '/api/batch' })
  await app.register(problemCodes, { prefix: '/api/problems' })
}

/** Of 255 characters, each of which may be percent-encoded as four bytes. */
const maxParamLength = 255 * 12

/** Fastify with its limits (see docs/decisions/0010-timeouts-and-limits.md), without a route. */
const createServer = ({ trust_proxy }: AppConfig, logger: FastifyBaseLogger) => {
  const app = Fastify({
    loggerInstance: withoutChildren(logger),
    logController: new RequestLog(),
    genReqId: requestId,
    trustProxy: trust_proxy.length > 0 ? trust_proxy : false,
    bodyLimit: 256 * 1024,
    requestTimeout: 8_000,
    connectionTimeout: 10_000,
    http: { headersTimeout: 5_000, connectionsCheckingInterval: 1_000, requireHostHeader: false },
    return503OnClosing: false,
    routerOptions: { querystringParser, maxParamLength, ignoreTrailingSlash: true },
    frameworkErrors: (error, request, reply) => {
      reply.headers(app.securityHeaders).header('x-request-id', request.id)
      sendProblem(error, request, reply)
    },
    clientErrorHandler,
    ...validation()
  })
  return app
}
