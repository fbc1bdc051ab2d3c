import { availableParallelism } from 'node:os'
import { isNetwork } from './core/access/networks.ts'
import { isOwnName, type PasswordCost } from './core/access/passwords.ts'
import { isEmail } from './core/http/email.ts'
import type { MailSettings } from './core/mail.ts'

/** The validated settings of the process. */
export interface Config {
  port: number
  host: string
  /** Where clients reach the API, for its document. */
  public_url: string
  /** undefined: the embedded Postgres, in `data_dir`. */
  database_url: string | undefined
  /** Of the role that owns the schema. undefined: `database_url` is. */
  database_migration_url: string | undefined
  /** undefined: the cache is only in this process. */
  redis_url: string | undefined
  data_dir: string
  /** undefined: generated once and kept in `data_dir`. */
  jwt_secret: string | undefined
  admin: { username: string; email: string; password: string | undefined }
  cors_origins: string[]
  /** Addresses or CIDR ranges of the proxies whose X-Forwarded-For is trusted. */
  trust_proxy: string[]
  /** Addresses and ranges, besides public ones, that requests to servers of users may go to. */
  outbound_networks: string[]
  /** Requests per minute of a user, or of a network without a login. */
  rate_limit_max: number
  /** Requests per minute of all users of an organization. */
  rate_limit_organization_max: number
  /** Seconds to serve on after SIGTERM, until a load balancer has turned away. */
  drain_seconds: number
  /** Slow statements of one organization at a time, in each process. */
  slow_statements: number
  log_level: string
  password_cost: PasswordCost
  /** Whether anyone may create an organization. */
  signup: 'open' | 'closed'
  /** undefined: no mail is sent. */
  mail: MailSettings | undefined
}

/** An invalid setting; its message is one line for the person who set it. */
export class ConfigError extends Error {}

/** Three, unless they could take all processors of a small machine. */
const defaultSlowStatements = Math.min(3, Math.max(1, availableParallelism() - 1))

/** More requests per minute than a process can serve. */
const maxRate = 100_000_000

type Environment = Record<string, string | undefined>
const levels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']

function refuse(name: string, requirement: string): never {
  throw new ConfigError(`${name} ${requirement}`)
}

function integer(
  env: Environment,
  name: string,
  fallback: number,
  least: number,
  most: number
): number {
  const text = env[name] || String(fallback)
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN
  return value >= least && value <= most
    ? value
    : refuse(name, `must be an integer between ${least} and ${most}, not ${JSON.stringify(text)}`)
}

function url(env: Environment, name: string, protocols: string[]): string | undefined {
  const text = env[name]
  if (!text) return undefined
  return URL.canParse(text) && protocols.includes(new URL(text).protocol)
    ? text
    : refuse(
        name,
        `must be a URL that starts with ${protocols.map(protocol => `${protocol}//`).join(' or ')}`
      )
}

const list = (text: string | undefined) =>
  (text ?? '')
    .split(',')
    .map(item => item.trim())
    .filter(item => item !== '')

function origins(env: Environment): string[] {
  return list(env.CORS_ORIGINS).map(origin =>
    URL.canParse(origin) && new URL(origin).origin === origin
      ? origin
      : refuse(
          'CORS_ORIGINS',
          'must be a comma-separated list of origins, such as https://app.example.com; ' +
            `${JSON.stringify(origin)} is not one`
        )
  )
}

function proxies(env: Environment): string[] {
  return list(env.TRUST_PROXY).map(range =>
    /^[0-9a-fA-F.:]+(\/\d{1,3})?$/.test(range) ||
    ['loopback', 'linklocal', 'uniquelocal'].includes(range)
      ? range
      : refuse(
          'TRUST_PROXY',
          'must be a comma-separated list of addresses or ranges, such as 10.0.0.0/8; ' +
            `${JSON.stringify(range)} is neither`
        )
  )
}

function outboundNetworks(env: Environment): string[] {
  return list(env.OUTBOUND_NETWORKS).map(network =>
    isNetwork(network)
      ? network
      : refuse(
          'OUTBOUND_NETWORKS',
          'must be a comma-separated list of addresses or ranges, such as 10.0.0.0/8; ' +
            `${JSON.stringify(network)} is neither`
        )
  )
}

function secret(env: Environment, database_url: string | undefined): string | undefined {
  const text = env.JWT_SECRET || undefined
  if (text === undefined && database_url !== undefined)
    refuse(
      'JWT_SECRET',
      'is required with DATABASE_URL: at least 32 bytes, the same for all processes. ' +
        'Generate one with: openssl rand -base64 48'
    )
  if (text !== undefined && Buffer.byteLength(text) < 32)
    refuse('JWT_SECRET', `must have at least 32 bytes, not ${Buffer.byteLength(text)}`)
  return text
}

/**
 * An admin to be created; `names` are those of the two settings, for the error. The email is the
 * user name if that is one. Errors: ConfigError.
 */
export function adminFrom(
  username: string,
  password: string | undefined,
  names: { username: string; password: string }
): Config['admin'] {
  if (username.length > 80 || username.trim() !== username)
    refuse(names.username, 'must have at most 80 characters and no leading or trailing space')
  if (password !== undefined && (password.length < 8 || password.length > 128))
    refuse(names.password, 'must have 8 to 128 characters')
  const email = username.includes('@')
    ? username
    : `${username.replaceAll(/[^A-Za-z0-9_.-]/g, '-')}@example.com`
  if (password !== undefined && isOwnName(password, [username, email]))
    refuse(names.password, 'must not be the name or the email address of the admin')
  return { username, email, password }
}

/** An email address, or a name with one: `Acme CRM <crm@example.com>`. */
function sender(env: Environment): MailSettings['from'] | undefined {
  const text = env.MAIL_FROM
  if (!text) return undefined
  const [, name = '', address = text] = /^([^<>\p{Cc}]*)<([^<>]*)>$/u.exec(text) ?? []
  return isEmail(address)
    ? { name: name.trim(), address }
    : refuse(
        'MAIL_FROM',
        'must be an email address, or a name with one, such as Acme CRM <crm@example.com>'
      )
}

function signupSetting(env: Environment): Config['signup'] {
  const text = env.SIGNUP || 'closed'
  return text === 'open' || text === 'closed'
    ? text
    : refuse('SIGNUP', `must be open or closed, not ${JSON.stringify(text)}`)
}

function mailSettings(env: Environment): MailSettings | undefined {
  const smtp_url = url(env, 'SMTP_URL', ['smtp:', 'smtps:'])
  const from = sender(env)
  const app_url = url(env, 'APP_URL', ['http:', 'https:'])
  if (smtp_url === undefined) return undefined
  return { smtp_url, from: from ?? refuse('MAIL_FROM', 'is required with SMTP_URL'), app_url }
}

/** The settings in an environment. Errors: ConfigError for the first invalid one. */
export function configFrom(env: Environment): Config {
  const database_url = url(env, 'DATABASE_URL', ['postgres:', 'postgresql:'])
  const database_migration_url = url(env, 'DATABASE_MIGRATION_URL', ['postgres:', 'postgresql:'])
  if (database_migration_url !== undefined && database_url === undefined)
    refuse('DATABASE_MIGRATION_URL', 'is of no use without DATABASE_URL, of the same database')
  const log_level = env.LOG_LEVEL || 'info'
  const trust_proxy = proxies(env)
  const port = integer(env, 'PORT', 3000, 0, 65_535)
  const rate_limit_max = integer(env, 'RATE_LIMIT_MAX', 10_000, 1, maxRate)
  const tenfold = Math.min(10 * rate_limit_max, maxRate)
  return {
    port,
    host: env.HOST || '127.0.0.1',
    public_url: url(env, 'PUBLIC_URL', ['http:', 'https:']) ?? `http://127.0.0.1:${port}`,
    database_url,
    database_migration_url,
    redis_url: url(env, 'REDIS_URL', ['redis:', 'rediss:']),
    data_dir: env.DATA_DIR || '.data',
    jwt_secret: secret(env, database_url),
    admin: adminFrom(env.ADMIN_USERNAME || 'admin@example.com', env.ADMIN_PASSWORD || undefined, {
      username: 'ADMIN_USERNAME',
      password: 'ADMIN_PASSWORD'
    }),
    cors_origins: origins(env),
    trust_proxy,
    outbound_networks: outboundNetworks(env),
    rate_limit_max,
    rate_limit_organization_max: integer(env, 'RATE_LIMIT_ORGANIZATION_MAX', tenfold, 1, maxRate),
    drain_seconds: integer(env, 'DRAIN_SECONDS', trust_proxy.length > 0 ? 5 : 1, 0, 120),
    slow_statements: integer(env, 'SLOW_STATEMENTS', defaultSlowStatements, 1, 50),
    log_level: levels.includes(log_level)
      ? log_level
      : refuse(
          'LOG_LEVEL',
          `must be one of ${levels.join(', ')}, not ${JSON.stringify(log_level)}`
        ),
    password_cost: { memory: 19_456, passes: 2 },
    signup: signupSetting(env),
    mail: mailSettings(env)
  }
}

/** The settings of this process. The only place that reads its environment. */
export const readConfig = (): Config => configFrom(process.env)
