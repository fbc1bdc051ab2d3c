import { spawn } from 'node:child_process'
import t from 'tap'
import { findFreePort } from '../../scripts/free-port.ts'
import { folder } from '../support/process.ts'

t.test('the first admin can log in as soon as /readyz is a 200', async t => {
  const port = String(await findFreePort())
  const password = 'a quiet harbour 47'
  const child = spawn(process.execPath, ['src/main.ts'], {
    env: {
      PATH: process.env.PATH,
      PORT: port,
      DATA_DIR: folder(t),
      ADMIN_PASSWORD: password
    },
    stdio: 'ignore'
  })
  const ended = new Promise(resolve => child.on('close', resolve))
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const url = `http://127.0.0.1:${port}`
  const statuses = new Set<number>()
  while (!statuses.has(200) && child.exitCode === null) {
    const status = await fetch(`${url}/readyz`).then(
      response => response.status,
      () => 0
    )
    statuses.add(status)
  }
  const login = await fetch(`${url}/api/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: 'admin@example.com', password })
  })
  t.equal(login.status, 200)
  t.same(
    [...statuses].toSorted((a, b) => a - b),
    [0, 200, 503],
    'before, it is a 503'
  )
})
