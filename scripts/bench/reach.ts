import { median } from './median.ts'
import { timeRequest } from './sales.ts'

/** Milliseconds (medians) of a list for an admin and for the manager of a team. */
export interface ReachFigures {
  request: string
  admin: number
  manager: number
}

type Headers = Record<string, string>

const requests = [
  '/opportunities?limit=50',
  '/opportunities?status=open&sort=-amount&limit=50',
  '/opportunities?stage=won&count=exact&limit=50',
  '/leads?status=qualified&sort=-score&limit=50',
  '/contacts?limit=50'
]
const manager = { username: 'manager@example.com', password: 'a team in a quiet harbor' }

/**
 * Compares lists of an admin, who reaches everything, with those of the manager of a team with
 * three other users; alternating, `times` requests each.
 */
export async function compareReach(
  url: string,
  admin: Headers,
  login: (account: typeof manager) => Promise<Headers>,
  times = 100
): Promise<ReachFigures[]> {
  await createTeam(url, admin)
  const headers = await login(manager)
  const figures: ReachFigures[] = []
  for (const request of requests) {
    const [all, some]: [number[], number[]] = [[], []]
    for (let i = 0; i < times; i++) {
      all.push(await timeRequest(`${url}/api${request}`, admin))
      some.push(await timeRequest(`${url}/api${request}`, headers))
    }
    figures.push({ request, admin: median(all), manager: median(some) })
  }
  return figures
}

async function createTeam(url: string, headers: Headers): Promise<void> {
  const send = async (path: string, body: object) => {
    const response = await fetch(`${url}/api${path}`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(body)
    })
    if (!response.ok) throw new Error(await response.text())
    return (await response.json()) as { id: number }
  }
  const found = await fetch(`${url}/api/users?limit=4&sort=id`, { headers })
  const { data } = (await found.json()) as { data: { id: number }[] }
  const account = { ...manager, email: manager.username, role: 'manager' }
  const { id: leader_id } = await send('/users', account)
  // the first user is the admin
  const member_ids = data.slice(1).map(({ id }) => id)
  await send('/teams', { name: 'Benchmark', leader_id, member_ids })
}
