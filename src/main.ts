import { pino } from 'pino'
import { buildApp } from './app.ts'
import { boot } from './bootstrap/boot.ts'
import { readConfig, type Config } from './config.ts'
import { createFirstAdmin } from './bootstrap/first-admin.ts'
import { problemOfDatabase } from './core/errors.ts'
import { closeGracefully } from './http/shutdown.ts'

/** A process that has not closed by then is ended. */
const hardLimit = 25_000
/** For so long a process that was told to end goes on answering, and says that it is not ready. Milliseconds. */
const drainTime = 500

async function main() {
  const config = readConfig()
  const logger = await logTo(config.log_level)

  // postgres.js lets go of a rejection when a server dies under a connection that is just being made; the queries get theirs
  process.on('unhandledRejection', error => {
    if (!problemOfDatabase(error)) throw error
    logger.warn({ err: error }, 'a connection was lost while it was made')
  })

  const { settings, postgres } = await boot(config, line => {
    logger.debug(line)
  })
  const app = await buildApp(settings, logger)
  let workers: { stop: () => Promise<void> } | undefined
  app.addHook('onClose', async () => {
    await workers?.stop()
  }) // before the connections that they work with

  let closing: Promise<void> | undefined
  const close = (code: number, grace: number) =>
    (closing ??= (async () => {
      setTimeout(() => {
        process.exit(1)
      }, hardLimit).unref()
      await closeGracefully(app, grace)
      await postgres?.stop()
      process.exit(code)
    })())
  process.on('SIGTERM', () => {
    void close(0, drainTime)
  })
  process.on('SIGINT', () => {
    void close(0, 0)
  })
  void postgres?.exited.then(() => {
    if (closing) return
    logger.fatal('Postgres has stopped; start again, and it recovers.')
    void close(1, 0)
  })

  try {
    // first of all: a start that fails must not make an admin, whose password is shown only once
    const address = await app.listen({ port: config.port, host: config.host })
    print(address, config, await createFirstAdmin(app.services, config.admin))
    const { startJobs } = await import('./jobs/runner.ts') // nobody waits for them
    workers = startJobs(app.services, settings.database_url, logger)
  } catch (error) {
    const is_taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
    complain(
      is_taken
        ? `Port ${config.port} of ${config.host} is taken: set PORT to another one, or to 0 for any`
        : error
    )
    await close(1, 0)
  }
}

/** JSON lines, written in batches; on a terminal lines for people. */
async function logTo(level: string) {
  if (process.stdout.isTTY) {
    const { default: pretty } = await import('pino-pretty')
    return pino(
      { level },
      pretty({ sync: true, ignore: 'pid,hostname', translateTime: 'HH:MM:ss' })
    )
  }
  const destination = pino.destination({ sync: true, minLength: 2048, periodicFlush: 250 })
  process.on('exit', () => {
    destination.flushSync()
  })
  return pino({ level }, destination)
}

/**
 * For the person who started it, on top of the log: the addresses, and a line to log in that works when it is pasted. It asks for
 * the password of an admin who was there before, since ADMIN_PASSWORD may be another one.
 */
function print(
  address: string,
  { admin: { username } }: Config,
  { made, generated }: Awaited<ReturnType<typeof createFirstAdmin>>
) {
  const body = (secret: string) => JSON.stringify({ username, password: secret })
  const credentials =
    generated !== undefined
      ? `'${body(generated)}'`
      : made
        ? `"${body('$ADMIN_PASSWORD').replaceAll('"', '\\"')}"`
        : `"$(printf 'Password of ${username}: ' >&2; read -r p; printf '${body('%s')}' "$p")"`
  process.stdout.write(`
SmartX CRM API   ${address}
Documentation    ${address}/docs
${generated === undefined ? '' : `Admin            ${username}   password: ${generated}   (shown only now)\n`}
curl -s ${address}/api/auth/login -H 'content-type: application/json' -d ${credentials}

`)
}

const complain = (error: unknown) =>
  process.stderr.write(`${(error instanceof Error && error.message) || String(error)}\n`)

main().catch((error: unknown) => {
  complain(error)
  process.exit(1)
})
