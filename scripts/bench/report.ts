import { arch, cpus, platform, release, totalmem } from 'node:os'
import type { ReachFigures } from './reach.ts'
import type { RequestFigures, Volume } from './sales.ts'
import type { SearchFigures } from './search.ts'
import type { WriteFigures } from './writes.ts'

/** Medians of the CPU time of the server in µs per request, and of the requests per second. */
export interface Figures {
  cpu: number
  rate: number
}

export interface CaseFigures {
  title: string
  api: Figures
  bare: Figures
  driver: Figures
}

/** Milliseconds for the first and the last full page, and the number of the latter. */
export interface PageFigures {
  first: number
  last: number
  number: number
}

/** Milliseconds until the server is ready. */
export interface StartFigures {
  first: number
  later: number
}

export interface Results {
  command: string
  contactCount: number
  rounds: number
  seconds: number
  cases: CaseFigures[]
  rss: number
  starts: StartFigures
  pages: PageFigures
  searches: SearchFigures[]
  writes: WriteFigures[]
  volume: Volume
  sales: RequestFigures[]
  reach: ReachFigures[]
  postgres: string
}

const ratio = (value: number) => `${value.toFixed(2)}×`
const grouped = (value: number) => Math.round(value).toLocaleString('en-US')
const milliseconds = (value: number) => (value < 10 ? value.toFixed(2) : value.toFixed(0))
const table = (head: string[], rows: (string | number)[][]) =>
  [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows]
    .map(row => `| ${row.join(' | ')} |`)
    .join('\n')

/** The text of BENCHMARKS.md. */
export const report = (results: Results): string =>
  [
    introduction(results),
    casesSection(results),
    processSection(results),
    pagesSection(results),
    searchSection(results),
    writesSection(results),
    salesSection(results),
    reachSection(results)
  ].join('\n\n')

function introduction({ command, contactCount, rounds, seconds, postgres }: Results): string {
  const [processor] = cpus()
  const machine =
    `${cpus().length} × ${processor?.model ?? 'unknown'}, ` +
    `${grouped(totalmem() / 2 ** 30)} GiB, ${platform()} ${release()} ${arch()}`
  const data =
    `${grouped(contactCount)} contacts with their accounts, leads and opportunities ` +
    '(`npm run seed`), no active scoring model'
  const load =
    `32 connections, ${rounds} rounds of ${seconds} s per case and server after a warm-up, ` +
    'in rotation; medians; every response was 2xx'
  return `# Benchmarks

Written by \`npm run bench${command && ` -- ${command}`}\` on ${today()}.

**Read the ratios**: the absolute figures are those of one machine on one day, shared by the server,
Postgres and the load generator.

${table(
  ['', ''],
  [
    ['machine', machine],
    ['Node.js', process.version],
    ['PostgreSQL', postgres],
    ['data', data],
    ['load', load]
  ]
)}`
}

const today = () => new Date().toISOString().slice(0, 10)

const casesSection = ({ cases }: Results): string => `## Against a bare route and the bare driver

${table(
  ['request', 'CPU µs', 'vs. bare', 'vs. driver', 'req/s', 'bare req/s', 'driver req/s'],
  cases.map(({ title, api, bare, driver }) => [
    title,
    api.cpu.toFixed(1),
    ratio(api.cpu / bare.cpu),
    ratio(api.cpu / driver.cpu),
    grouped(api.rate),
    grouped(bare.rate),
    grouped(driver.rate)
  ])
)}

- **CPU µs** is the CPU time of the API process per request, including all threads, at the log level
  of production with one log line per request. It excludes Postgres, where the same SQL has the same
  cost. **vs. bare** and **vs. driver** are its ratios to the CPU time of the two baselines.
- **bare** is a Fastify route that sends the same bytes from memory, without authentication,
  validation, additional headers and logs. **driver** is a route that runs the same prepared SQL
  with postgres.js (reads by key on one pipelined connection, all other queries on a pool of eight)
  and sends \`JSON.stringify\` of the rows. For POST and PATCH, it writes to a copy of the table
  without the trigger of the event log, so **req/s** also shows the cost of the log in Postgres.
- Reads by key are spread over 10,000 records, cached ones over 1,000. A cached read runs no query,
  so its ratio to the driver is below 1.`

const processSection = ({ rss, starts }: Results): string => `## Memory and start

${table(
  ['', ''],
  [
    ['resident memory of the API after these requests', `${grouped(rss / 2 ** 20)} MiB`],
    [
      'first start in an empty folder, until `/readyz`, with the embedded PostgreSQL',
      `${grouped(starts.first)} ms`
    ],
    ['later starts', `${grouped(starts.later)} ms`]
  ]
)}`

const pagesSection = ({ pages }: Results): string => `## Pages

A page is read by an index, from the last record of the previous page. One request at a time,
alternating, medians of 300 each:

${table(
  ['page of 50', 'ms'],
  [
    ['first', pages.first.toFixed(2)],
    [grouped(pages.number), pages.last.toFixed(2)],
    ['ratio', ratio(pages.last / pages.first)]
  ]
)}`

const searchSection = ({ searches }: Results): string => `## Search

\`?q=\` reads a trigram index (\`pg_trgm\`) and ignores case and accents. The alternative is
\`ilike '%…%'\` on the same five columns: a sequential scan, and a second one for a total.
Execution times in Postgres in ms (\`explain analyze\`, medians of five):

${table(
  ['term', 'rows', 'API', '`ilike`, page', 'vs. API', '`ilike`, total', 'vs. API'],
  searches.map(({ term, rows, api, page, total }) => [
    term,
    grouped(rows),
    milliseconds(api),
    milliseconds(page),
    ratio(page / api),
    milliseconds(total),
    ratio(total / api)
  ])
)}

A frequent term is the best case for a scan, which stops at the 51st match; for a total or a rare
term, it reads the whole table. With \`ilike\`, \`o\` does not match \`ó\`.`

const writesSection = ({ writes }: Results): string => `## Many writes

Ways to create 1,000 contacts, in turns, medians. Single requests are sent over 32 connections. One
with a key is a transaction of its own, with a response that is kept.

${table(
  ['', 'CPU of the API, ms', 'ratio'],
  writes.map(({ title, cpu }) => [title, grouped(cpu), ratio(cpu / writes[0]!.cpu)])
)}`

const salesSection = ({ volume, sales }: Results): string => `## Sales workload

One organization, with

- ${grouped(volume.activities)} activities, each linked to a contact and an account
- ${grouped(volume.leads)} leads
- ${grouped(volume.opportunities)} opportunities

One request at a time, for another record each time; medians of fifteen. Sequential scans are the
total of the fifteen requests. Reports cover the whole organization.

${table(
  ['query', 'request', 'ms', 'sequential scans'],
  sales.map(({ title, request, ms, scans }) => [
    title,
    `\`GET /api${request}\``,
    milliseconds(ms),
    scans
  ])
)}`

const reachSection = ({ reach }: Results): string => `## Reach

The same lists for an admin, who reaches everything, and for the manager of a team with three other
users, who reaches their records; one request at a time, alternating, medians of 100 each.

${table(
  ['request', 'admin, ms', 'manager, ms', 'ratio'],
  reach.map(({ request, admin, manager }) => [
    `\`GET /api${request}\``,
    milliseconds(admin),
    milliseconds(manager),
    ratio(manager / admin)
  ])
)}
`
