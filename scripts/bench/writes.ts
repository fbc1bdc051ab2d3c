import autocannon from 'autocannon'
import { median } from './median.ts'
import { probe, type Process } from './processes.ts'

/** CPU of the API in ms that 1,000 new contacts take (median). */
export interface WriteFigures {
  title: string
  cpu: number
}

type Headers = Record<string, string>

const count = 1_000
const contact = { first_name: 'Eva', last_name: 'Ek', email: 'eva@example.com', company: 'Example' }
const operation = { op: 'create', type: 'contact', data: contact }
const batch = { mode: 'atomic', operations: Array.from({ length: count }, () => operation) }
let keys = 0

/** `amount` requests on so many `connections` create the contacts `times` times. */
interface Way {
  title: string
  path: string
  amount: number
  connections: number
  times: number
  body: object
  headers?: () => Headers
}
const single = { path: '/api/contacts', amount: count, connections: 32, times: 1, body: contact }

const ways: Way[] = [
  { ...single, title: 'single POSTs' },
  {
    ...single,
    title: 'single POSTs, each with an `Idempotency-Key`',
    headers: () => ({ 'idempotency-key': `bench-${keys++}` })
  },
  { title: 'one batch', path: '/api/batch', amount: 10, connections: 1, times: 10, body: batch }
]

/** Compares ways to create 1,000 contacts, in turns; the first round warms up. */
export async function compareWrites(
  api: Process,
  headers: Headers,
  rounds: number
): Promise<WriteFigures[]> {
  const samples = ways.map((): number[] => [])
  for (let round = 0; round <= rounds; round++)
    for (const [i, way] of ways.entries()) {
      const cpu = await create(api, headers, way)
      if (round > 0) samples[i]!.push(cpu)
    }
  return ways.map(({ title }, i) => ({ title, cpu: median(samples[i]!) }))
}

/** Creates contacts, and returns the CPU in ms for 1,000. Errors: if a response is not 2xx. */
async function create(
  api: Process,
  common: Headers,
  { path, amount, connections, times, body, headers }: Way
) {
  const before = await probe(api, 'usage')
  const result = await autocannon({
    url: api.url + path,
    method: 'POST',
    connections,
    amount,
    requests: [
      {
        body: JSON.stringify(body),
        setupRequest: request => ({
          ...request,
          headers: { ...common, 'content-type': 'application/json', ...headers?.() }
        })
      }
    ]
  })
  const after = await probe(api, 'usage')
  if (result['2xx'] !== amount)
    throw new Error(`POST ${path}: ${JSON.stringify(result.statusCodeStats)}`)
  return (after.cpu - before.cpu) / 1_000 / times
}
