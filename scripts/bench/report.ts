import { arch, cpus, platform, release, totalmem } from 'node:os'
import type { Case } from './cases.ts'
import type { QueryFigures, Volume } from './sales.ts'
import type { SearchFigures } from './search.ts'

/** Medians: CPU of the server process in µs per request, and requests per second. */
export interface Figures {
  cpu: number
  rate: number
}
export interface CaseFigures {
  one: Case
  api: Figures
  bare: Figures
  driver: Figures
}
/** Milliseconds for the first page and a late one, and the number of that one. */
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
  size: number
  rounds: number
  seconds: number
  cases: CaseFigures[]
  rss: number
  starts: StartFigures
  pages: PageFigures
  searches: SearchFigures[]
  volume: Volume
  sales: QueryFigures[]
  postgres: string
}

const times = (ratio: number) => `${ratio.toFixed(2)}×`
const thousands = (value: number) => Math.round(value).toLocaleString('en-US')
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
    salesSection(results)
  ].join('\n\n')

function introduction({ command, size, rounds, seconds, postgres }: Results): string {
  const [processor] = cpus()
  const machine =
    `${cpus().length} × ${processor?.model ?? 'unknown'}, ` +
    `${thousands(totalmem() / 2 ** 30)} GiB, ${platform()} ${release()} ${arch()}`
  const data =
    `${thousands(size)} contacts with their accounts, leads and opportunities ` +
    '(`npm run seed`), no active scoring model'
  const load =
    `32 connections, ${rounds} rounds of ${seconds} s per case and server after a warm-up, ` +
    'in rotation; medians; every response was 2xx'
  return `# Benchmarks

Written by \`npm run bench${command && ` -- ${command}`}\` on ${today()}. **Read the ratios**: the
absolute figures are those of one machine on one day, with the server, Postgres and the load
generator sharing it.

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
  ['request', 'CPU µs', 'of bare', 'of driver', 'req/s', 'bare', 'driver'],
  cases.map(({ one, api, bare, driver }) => [
    one.title,
    api.cpu.toFixed(1),
    times(api.cpu / bare.cpu),
    times(api.cpu / driver.cpu),
    thousands(api.rate),
    thousands(bare.rate),
    thousands(driver.rate)
  ])
)}

- **CPU µs** is the CPU time of the API process per request, all threads included, at the log level
  of production with one log line per request. Postgres is not included: the same SQL costs it the
  same.
- **bare** is a Fastify route that sends the same bytes from memory: no login, no validation, no
  headers of ours, no log. **driver** is a route that runs the same prepared SQL with postgres.js
  (reads by key on one pipelined connection, everything else on a pool of eight) and sends
  \`JSON.stringify\` of the rows. For POST and PATCH, it writes to a copy of the table without the
  trigger of the event log, so **req/s** also shows what the log costs Postgres.
- Reads by key are spread over 10,000 records, cached ones over 1,000. A cached read runs no query,
  which is why it is below 1 beside the driver.`

const processSection = ({ rss, starts }: Results): string => `## Memory and start

${table(
  ['', ''],
  [
    ['resident memory of the API after all of that', `${thousands(rss / 2 ** 20)} MiB`],
    [
      'first start, from nothing to `/readyz`, with the embedded PostgreSQL',
      `${thousands(starts.first)} ms`
    ],
    ['later starts', `${thousands(starts.later)} ms`]
  ]
)}`

const pagesSection = ({ pages }: Results): string => `## Pages

A page is read from where the last one ended, by an index. One request at a time, medians of 300
each, taken in turn:

${table(
  ['page of 50', 'ms'],
  [
    ['first', pages.first.toFixed(2)],
    [thousands(pages.number), pages.last.toFixed(2)],
    ['ratio', times(pages.last / pages.first)]
  ]
)}`

const searchSection = ({ searches }: Results): string => `## Search

\`?q=\` reads an index of trigrams (\`pg_trgm\`), without case and accents. The alternative is
\`ilike '%…%'\` over the same five columns: a sequential scan, and a second one for a total.
Execution times of Postgres in ms (\`explain analyze\`, medians of five):

${table(
  ['term', 'rows', 'API', '`ilike`, a page', '', '`ilike`, a total', ''],
  searches.map(({ term, rows, api, page, total }) => [
    term,
    thousands(rows),
    milliseconds(api),
    milliseconds(page),
    times(page / api),
    milliseconds(total),
    times(total / api)
  ])
)}

A frequent term is the best case of a scan, which stops at row 51; a total and a rare term are not.
\`ilike\` does not find \`ó\` by \`o\`.`

const salesSection = ({ volume, sales }: Results): string => `## A day in sales

One organization with ${thousands(volume.activities)} activities (each linked to a contact and an
account), ${thousands(volume.leads)} leads and ${thousands(volume.opportunities)} opportunities. One
request at a time, for another record each time, medians of fifteen; and the number of sequential
scans. Reports cover the whole organization.

${table(
  ['query', 'request', 'ms', 'sequential scans'],
  sales.map(({ title, request, ms, scans }) => [
    title,
    `\`GET /api${request}\``,
    milliseconds(ms),
    scans
  ])
)}
`
