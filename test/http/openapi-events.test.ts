import t from 'tap'
import { ownerOf } from '../support/app.ts'
import { documentOf, installation, sendExamples } from '../support/examples.ts'

t.test('each operation names the events that it causes', async t => {
  const app = await installation(t)
  const owner = ownerOf(app)
  const { paths } = documentOf(app)
  const named = new Map(
    Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => [
        `${method.toUpperCase()} ${path}`,
        (operation as { 'x-events'?: string[] })['x-events'] ?? []
      ])
    )
  )
  let last = 0
  const caused = async () => {
    const rows = await owner<{ id: number; type: string }[]>`
      select id, type from events where id > ${last} and details is null order by id`
    last = rows.at(-1)?.id ?? last
    return new Set(rows.map(({ type }) => type))
  }
  await caused()
  let writes = 0
  await sendExamples(t, app, async ({ method, path }, send) => {
    await caused() // what the test itself has added
    const answer = await send()
    for (const type of await caused()) {
      writes++
      const types = named.get(`${method} ${path}`)!
      const any = type.replace(/^\w+/, '*')
      t.ok(types.includes(type) || types.includes(any), `${method} ${path} causes ${type}`)
    }
    return answer
  })
  t.ok(writes > 40, `${writes} events were seen`)
})
