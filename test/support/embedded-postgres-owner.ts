// A process with an embedded server, for tests that kill it. It writes row after row, and reports
// each event as a line of JSON.
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { startEmbeddedPostgres } from '../../src/bootstrap/embedded-postgres.ts'

export interface Report {
  ready?: { pid: number; url: string; socket_dir: string }
  acknowledged?: number
  refused?: string
  interrupted?: true
  exited?: true
}

const say = (report: Report) => process.stdout.write(`${JSON.stringify(report)}\n`)
process.on('SIGINT', () => say({ interrupted: true }))

async function write(sql: postgres.Sql): Promise<void> {
  const [row] = await sql<
    [{ n: number }]
  >`insert into written select coalesce(max(n), 0) + 1 from written returning n`
  say({ acknowledged: row.n })
  await sleep(2)
  return write(sql)
}

try {
  const { exited, pid, url, socket_dir } = await startEmbeddedPostgres({
    data_dir: process.argv[2] ?? ''
  })
  const sql = postgres(url, { max: 1, fetch_types: false, onnotice: () => {} })
  await sql`create table if not exists written (n int primary key)`
  say({ ready: { pid, url, socket_dir } })
  await Promise.race([exited, write(sql).catch(() => exited)])
  say({ exited: true })
  process.exit()
} catch (error) {
  say({ refused: error instanceof Error ? error.message : String(error) })
}
