import { pino } from 'pino'
import { buildApp } from './app.ts'
import { boot } from './boot.ts'
import { ConfigError, readConfig, type Config } from './config.ts'
import { welcome } from './first-start.ts'
import { problemOfDatabase } from './kit/errors.ts'
import { closeGracefully } from './plugins/shutdown.ts'

/** A process that has not closed by then is ended. */
const hardLimit = 25_000
/** For so long a process that was told to end goes on answering, and says that it is not ready. Milliseconds. */
const drainTime = 500

async function main () {
  const config = readConfig()
  const logger = await logTo(config.log_level)

  // postgres.js lets go of a rejection when a server dies under a connection that is just being made; the queries get theirs
  process.on('unhandledRejection', error => {
    if (!problemOfDatabase(error)) throw error
    logger.warn({ err: error }, 'a connection was lost while it was made')
  })

  const { settings, postgres } = await boot(config, line => { logger.debug(line) })
  const app = await buildApp(settings, logger)
  const made_up = await welcome(app.house, config.admin)
  const address = await app.listen({ port: config.port, host: config.host })
  print(address, config, made_up)

  let closing: Promise<void> | undefined
  const close = (code: number, grace: number) => closing ??= (async () => {
    setTimeout(() => { process.exit(1) }, hardLimit).unref()
    await closeGracefully(app, grace)
    await postgres?.stop()
    process.exit(code)
  })()
  process.on('SIGTERM', () => { void close(0, drainTime) })
  process.on('SIGINT', () => { void close(0, 0) })
  void postgres?.exited.then(() => {
    if (closing) return
    logger.fatal('Postgres has stopped; start again, and it recovers.')
    void close(1, 0)
  })
}

/** JSON lines, written in batches; on a terminal lines for people. */
async function logTo (level: string) {
  if (process.stdout.isTTY) {
    const { default: pretty } = await import('pino-pretty')
    return pino({ level }, pretty({ sync: true, ignore: 'pid,hostname', translateTime: 'HH:MM:ss' }))
  }
  const destination = pino.destination({ sync: true, minLength: 12 * 1024, periodicFlush: 250 })
  process.on('exit', () => { destination.flushSync() })
  return pino({ level }, destination)
}

/** For the person who started it, on top of the log: the addresses, and a line to log in that works when it is pasted. */
function print (address: string, { admin: { username, password } }: Config, made_up: string | undefined) {
  const body = (secret: string) => JSON.stringify({ username, password: secret })
  const credentials = made_up !== undefined ? `'${body(made_up)}'`
    : password !== undefined ? `"${body('$ADMIN_PASSWORD').replaceAll('"', '\\"')}"`
    : `"$(printf 'Password of ${username}: ' >&2; read -r p; printf '${body('%s')}' "$p")"`
  process.stdout.write(`
SmartX CRM API   ${address}
Documentation    ${address}/docs
${made_up === undefined ? '' : `Admin            ${username}   password: ${made_up}   (shown only now)\n`}
curl -s ${address}/api/auth/login -H 'content-type: application/json' -d ${credentials}

`)
}

main().catch((error: unknown) => {
  process.stderr.write(error instanceof ConfigError ? `${error.message}\n` : `${error instanceof Error ? error.message || String(error) : String(error)}\n`)
  process.exit(1)
})
