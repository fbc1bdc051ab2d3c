import { pino } from 'pino'
import { buildApp } from './app.ts'
import { boot } from './bootstrap/boot.ts'
import { readConfig, type Config } from './config.ts'
import { createFirstAdmin } from './bootstrap/first-admin.ts'
import { isLostConnection } from './core/db/workarounds.ts'
import { terminalFormat } from './http/log.ts'
import { closeGracefully } from './http/shutdown.ts'
import type { Background } from './jobs/runner.ts'

/** Milliseconds after which a process that does not receive requests any more exits. */
const hardLimit = 20_000

async function main() {
  const config = readConfig()
  const logger = await logTo(config.log_level)

  // until there is something to close
  let close = async (code: number, _drainTime: number): Promise<void> => {
    process.exit(code)
  }
  process.on('SIGTERM', () => {
    void close(0, config.drain_seconds * 1_000)
  })
  process.on('SIGINT', () => {
    void close(0, 0)
  })
  process.on('unhandledRejection', error => {
    if (!isLostConnection(error)) throw error
    logger.warn({ err: error }, 'a connection was lost while it was being opened')
  })

  const { settings, postgres } = await boot(config, {
    debug: line => {
      logger.debug(line)
    },
    warn: line => {
      logger.warn(line)
    }
  })
  const app = await buildApp(settings, logger)
  let background: Background | undefined
  app.addHook('onClose', async () => {
    await background?.stop() // before the connections that they use
  })

  let closing: Promise<void> | undefined
  close = async (code, drainTime) =>
    await (closing ??= (async () => {
      void background?.stop() // requests are finished meanwhile
      setTimeout(() => {
        logger.warn('Not everything could be finished in time.')
        process.exit(code)
      }, drainTime + hardLimit).unref()
      await closeGracefully(app, drainTime)
      await postgres?.stop()
      process.exit(code)
    })())
  void postgres?.exited.then(reason => {
    if (closing) return
    const why = reason === undefined ? '' : ` (${reason})`
    logger.fatal(`Postgres has stopped${why}. Start again to recover.`)
    void close(1, 0)
  })

  try {
    // first: a start that fails must not create an admin, whose password is shown only once
    app.starting = true
    const address = await app.listen({ port: config.port, host: config.host })
    const created = await createFirstAdmin(app.services, config.admin)
    app.starting = false
    print(address, config, created)
    const { startBackground } = await import('./jobs/background.ts') // nothing waits for it
    if (!closing) background = startBackground(app.services, settings.database_url, logger)
  } catch (error) {
    if (!closing) printError(isPortInUse(error) ? portInUse(config) : error)
    await close(1, 0)
  }
}

const isPortInUse = (error: unknown) => (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
const portInUse = ({ port, host }: Config) =>
  `Port ${port} of ${host} is in use: set PORT to another one, or to 0 for any`

/** Logs JSON lines, written in batches; on a terminal, lines for people. */
async function logTo(level: string) {
  if (process.stdout.isTTY) {
    const { default: pretty } = await import('pino-pretty')
    return pino({ level }, pretty({ ...terminalFormat, sync: true }))
  }
  const destination = pino.destination({ sync: true, minLength: 2048, periodicFlush: 250 })
  process.on('exit', () => {
    destination.flushSync()
  })
  return pino({ level }, destination)
}

/**
 * Prints, above the log, the addresses and a command that logs in. For an admin who existed before,
 * the command prompts for the password, since ADMIN_PASSWORD may be another one.
 */
function print(address: string, { admin }: Config, created: FirstAdmin) {
  const { username } = admin
  const { generated } = created
  const shown = `Admin            ${username}   password: ${generated}   (shown only now)\n`
  const credentials = credentialsOf(username, created)
  process.stdout.write(`
SmartX CRM API   ${address}
Documentation    ${address}/docs
${generated === undefined ? '' : shown}
curl -s ${address}/api/auth/login -H 'content-type: application/json' -d ${credentials}

`)
}

type FirstAdmin = Awaited<ReturnType<typeof createFirstAdmin>>

/** The body of a login as an argument in a shell. */
function credentialsOf(username: string, { created, generated }: FirstAdmin): string {
  const body = (password: string) => JSON.stringify({ username, password })
  if (generated !== undefined) return `'${body(generated)}'`
  if (created) return `"${body('$ADMIN_PASSWORD').replaceAll('"', '\\"')}"`
  const prompt = `printf 'Password of ${username}: ' >&2; read -rs p`
  return `"$(${prompt}; printf '${body('%s')}' "$p")"`
}

const printError = (error: unknown) =>
  process.stderr.write(`${(error instanceof Error && error.message) || String(error)}\n`)

main().catch((error: unknown) => {
  printError(error)
  process.exit(1)
})
