// Several processes send to the same webhooks, and one of them is killed.
import t from 'tap'
import { bearer, database, password, settingsOf } from '../../../support/app.ts'
import { start } from '../../../support/process.ts'
import { acknowledge, receiver, until } from '../../../support/receiver.ts'

t.test('each event is sent once, and those of a killed process again', async t => {
  const env = {
    ...settingsOf(await database(t)),
    ADMIN_PASSWORD: password,
    OUTBOUND_NETWORKS: '127.0.0.0/8'
  }
  const first = await start(t, env)
  const second = await start(t, env)
  const login = { username: 'admin@example.com', password }
  const { token } = (await (await second.send('POST /api/auth/login', login)).json()) as {
    token: string
  }
  const ask = async <T>(request: string, body?: object) =>
    (await (await second.send(request, body, bearer(token))).json()) as T

  const hook = await receiver(t, (response, message) => {
    setTimeout(() => {
      acknowledge(response, message)
    }, 30)
  })
  await ask('POST /api/webhooks', { url: hook.url, types: 'contact.*' })
  const contacts = await Promise.all(
    [1, 2, 3, 4, 5, 6].map(
      async i =>
        (await ask<{ id: number }>('POST /api/contacts', { first_name: 'N', last_name: `${i}` })).id
    )
  )
  const change = async (from: number) => {
    for (let i = from; i < from + 10; i++)
      for (const id of contacts) await ask(`PATCH /api/contacts/${id}`, { last_name: `${i} x` })
  }
  await change(0)
  await until(() => hook.received.length === 66)
  const ids = new Set(hook.received.map(({ id }) => id))
  t.equal(ids.size, 66, 'by two processes, each event once')

  const changing = change(10)
  await until(() => hook.received.length > 80)
  first.child.kill('SIGKILL')
  await changing
  const isDone = () => new Set(hook.received.map(({ id }) => id)).size === 126
  await until(isDone) // some of them after the lease of the killed process
  for (const id of contacts) {
    const own = hook.received.filter(({ event }) => event.data.subject.id === id)
    const versions = [...new Set(own.map(({ event }) => event.data.version))]
    t.same(
      versions,
      Array.from({ length: 21 }, (_, i) => i + 1),
      `contact ${id} in order`
    )
  }
  t.ok(hook.received.length <= 126 + 25, `${hook.received.length} requests`)
  second.child.kill('SIGTERM')
  t.equal(await second.ended, 0, 'the other one stops as it should')
})
