import autocannon from 'autocannon'
import { median } from './median.ts'
import { probe, type Process } from './processes.ts'

/** CPU of the API and time that 1,000 new contacts take, in ms (medians). */
export interface WriteFigures {
  title: string
  cpu: number
  ms: number
}

type Headers = Record<string, string>

const count = 1_000
const contact = { first_name: 'Eva', last_name: 'Ek', email: 'eva@example.com', company: 'Example' }
const operation = { op: 'create', type: 'contact', data: contact }
const batch = { mode: 'atomic', operations: Array.from({ length: count }, () => operation) }
let keys = 0

interface Way {
  title: string
  path: string
  amount: number
  body: object
  headers?: () => Headers
}

const ways: Way[] = [
  { title: 'single POSTs', path: '/api/contacts', amount: count, body: contact },
  {
    title: 'single POSTs, each with an `Idempotency-Key`',
    path: '/api/contacts',
    amount: count,
    body: contact,
    headers: () => ({ 'idempotency-key': `bench-${keys++}` })
  },
  { title: 'one batch', path: '/api/batch', amount: 1, body: batch }
]

/** Compares ways to create 1,000 contacts, in turns; the first round warms up. */
export async function compareWrites(
  api: Process,
  headers: Headers,
  rounds: number
): Promise<WriteFigures[]> {
  const samples = ways.map(() => ({ cpu: [] as number[], ms: [] as number[] }))
  for (let round = 0; round <= rounds; round++)
    for (const [i, way] of ways.entries()) {
      const { cpu, ms } = await create(api, headers, way)
      if (round === 0) continue
      samples[i]!.cpu.push(cpu)
      samples[i]!.ms.push(ms)
    }
  return ways.map(({ title }, i) => ({
    title,
    cpu: median(samples[i]!.cpu),
    ms: median(samples[i]!.ms)
  }))
}

/** Errors: if a response is not 2xx. */
async function create(api: Process, common: Headers, { path, amount, body, headers }: Way) {
  const before = await probe(api, 'usage')
  const start = performance.now()
  const result = await autocannon({
    url: api.url + path,
    method: 'POST',
    connections: Math.min(32, amount),
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
  const ms = performance.now() - start
  const after = await probe(api, 'usage')
  if (result['2xx'] !== amount)
    throw new Error(`POST ${path}: ${JSON.stringify(result.statusCodeStats)}`)
  return { cpu: (after.cpu - before.cpu) / 1_000, ms }
}
