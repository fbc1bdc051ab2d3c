import type postgres from 'postgres'
import { ownerOf, type App } from './app.ts'

type Sent = [text: string, values: unknown[]]

/** Records what is sent to a connection, also in transactions, until the result is called. */
function record(sql: postgres.Sql, sent: Sent[]): () => void {
  const recording = <Connection extends postgres.ISql>(connection: Connection) => {
    const real = connection.unsafe.bind(connection)
    connection.unsafe = ((text: string, values: never[], options: object) => {
      if (!/^(begin|set local)/.test(text)) sent.push([text, values])
      return real(text, values, options)
    }) as typeof connection.unsafe
    return connection
  }
  const { unsafe, begin } = sql
  recording(sql)
  sql.begin = (async (work: (connection: postgres.TransactionSql) => Promise<unknown>) =>
    await begin.call(sql, '', connection => work(recording(connection)))) as typeof sql.begin
  return () => {
    Object.assign(sql, { unsafe, begin })
  }
}

/** The plans of the statements that `work` sends to connections, by default but `point`. */
export async function plansOf(
  app: App,
  work: () => Promise<{ statusCode: number; body: string }>,
  connections = [
    app.services.database.pool,
    app.services.database.lists,
    app.services.database.slow
  ]
): Promise<string[]> {
  const sent: Sent[] = []
  const restore = connections.map(sql => record(sql, sent))
  const answer = await work().finally(() => {
    for (const one of restore) one()
  })
  if (answer.statusCode !== 200) throw new Error(answer.body)
  return await Promise.all(
    sent.map(async ([text, values]) =>
      (await connections[0]!.unsafe(`explain ${text}`, values as never[]))
        .map(row => String(row['QUERY PLAN']))
        .join('\n')
    )
  )
}

/** Updates the statistics that Postgres plans by, however long that takes. */
export async function analyze(app: App): Promise<void> {
  await ownerOf(app)`vacuum analyze`
}
