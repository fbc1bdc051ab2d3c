import type { App } from './app.ts'

/** The plans of the statements that `work` sends to a connection, by default the pool. */
export async function plansOf(
  app: App,
  work: () => Promise<{ statusCode: number; body: string }>,
  sql = app.services.database.pool
): Promise<string[]> {
  const sent: [string, unknown[]][] = []
  const real = sql.unsafe.bind(sql)
  sql.unsafe = ((text: string, values: never[], options: object) => {
    sent.push([text, values])
    return real(text, values, options)
  }) as typeof sql.unsafe
  const answer = await work().finally(() => {
    sql.unsafe = real
  })
  if (answer.statusCode !== 200) throw new Error(answer.body)
  return await Promise.all(
    sent.map(async ([text, values]) =>
      (await real(`explain ${text}`, values as never[]))
        .map(row => String(row['QUERY PLAN']))
        .join('\n')
    )
  )
}

/** Updates the statistics that Postgres plans by, however long that takes. */
export async function analyze(app: App): Promise<void> {
  const connection = await app.services.database.pool.reserve()
  await connection`set statement_timeout = 0`
  await connection`vacuum analyze`
  await connection`set statement_timeout = '5s'`
  connection.release()
}
