import { arch, cpus, platform, release, totalmem } from 'node:os'
import type { Case } from './cases.ts'
import type { Asked, Volume } from './sales.ts'
import type { Found } from './search.ts'

/** Medians: CPU of the server process in µs per request, and requests per second. */
export interface Figures {
  cpu: number
  rate: number
}
export interface Measured {
  one: Case
  ours: Figures
  bare: Figures
  driver: Figures
}
export interface Pages {
  first: number
  last: number
  number: number
}
export interface Starts {
  first: number
  later: number
}
export interface Results {
  command: string
  size: number
  rounds: number
  seconds: number
  measured: Measured[]
  rss: number
  starts: Starts
  pages: Pages
  searches: Found[]
  volume: Volume
  sales: Asked[]
  postgres: string
}

const times = (ratio: number) => `${ratio.toFixed(2)}×`
const thousands = (value: number) => Math.round(value).toLocaleString('en-US')
const milliseconds = (value: number) => (value < 10 ? value.toFixed(2) : value.toFixed(0))
const table = (head: string[], rows: (string | number)[][]) =>
  [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows]
    .map(row => `| ${row.join(' | ')} |`)
    .join('\n')

/** BENCHMARKS.md. */
export function report({
  command,
  size,
  rounds,
  seconds,
  measured,
  rss,
  starts,
  pages,
  searches,
  volume,
  sales,
  postgres
}: Results): string {
  const [processor] = cpus()
  return `# Benchmarks

Written by \`npm run bench${command && ` -- ${command}`}\` on ${new Date().toISOString().slice(0, 10)}. **Read the ratios**: the absolute figures are those of one machine
on one day, with server, Postgres and load generator sharing it.

${table(
  ['', ''],
  [
    [
      'machine',

      `${cpus().length} × ${processor?.model ?? 'unknown'}, ` +
        `${thousands(totalmem() / 2 ** 30)} GiB, ${platform()} ${release()} ${arch()}`
    ],
    ['Node.js', process.version],
    ['PostgreSQL', postgres],
    [
      'data',

      `${thousands(size)} contacts with their accounts, leads and opportunities (\`npm run ` +
        'seed`), and no active scoring model'
    ],
    [
      'load',

      `32 connections, ${rounds} rounds of ${seconds} s for each case and server after one ` +
        'to warm up, in rotation; medians; every answer was 2xx'
    ]
  ]
)}

## Against a bare route and the bare driver

${table(
  ['request', 'CPU µs', 'of bare', 'of driver', 'req/s', 'bare', 'driver'],
  measured.map(({ one, ours, bare, driver }) => [
    one.title,
    ours.cpu.toFixed(1),
    times(ours.cpu / bare.cpu),
    times(ours.cpu / driver.cpu),
    thousands(ours.rate),
    thousands(bare.rate),
    thousands(driver.rate)
  ])
)}

- **CPU µs** is what the process of the API uses for a request, all its threads together, at the log level of production and with a log line
  for each request. Postgres is not in it: the same SQL costs it the same.
- **bare** is a route of Fastify alone that sends the same bytes as a ready string: no login, no checks, no headers of ours, no log.
  **driver** is such a route that runs the same prepared SQL with postgres.js, reads by key on one pipelined connection and the rest on a
  pool of eight, and sends \`JSON.stringify\` of the rows. For POST and PATCH it writes to a copy of the table without the trigger of the
  event log, so **req/s** shows what the log costs Postgres, too.
- Reads by key are spread over 10,000 records, the cached ones over 1,000. A cached answer has no query in it: beside the driver it is below 1.

## Memory and starting

${table(
  ['', ''],
  [
    ['resident memory of the API after all of that', `${thousands(rss / 2 ** 20)} MiB`],
    [
      'first start, from nothing to `/readyz`, with its own PostgreSQL',
      `${thousands(starts.first)} ms`
    ],
    ['later starts', `${thousands(starts.later)} ms`]
  ]
)}

## Pages

A list is read from where the last page ended, by an index. One request at a time, medians of 300 each, taken in turn:

${table(
  ['page of 50', 'ms'],
  [
    ['first', pages.first.toFixed(2)],
    [thousands(pages.number), pages.last.toFixed(2)],
    ['ratio', times(pages.last / pages.first)]
  ]
)}

## Search

\`?q=\` looks into an index of three-letter parts (\`pg_trgm\`), without case and accents. The other way is \`ilike '%…%'\` over the same five columns:
a look at every row, twice where a total is shown as well. Execution times of Postgres in ms (\`explain analyze\`, medians of five):

${table(
  ['term', 'rows', 'ours', '`ilike`, a page', '', '`ilike`, a total', ''],
  searches.map(({ term, rows, ours, page, total }) => [
    term,
    thousands(rows),
    milliseconds(ours),
    milliseconds(page),
    times(page / ours),
    milliseconds(total),
    times(total / ours)
  ])
)}

A frequent term is the scan's good case: it stops at the fifty-first row it meets. A total has no such luck, nor has a term that is rare.
\`ilike\` finds no \`ó\` when asked for an \`o\`.

## A sales team's day

One organisation with ${thousands(volume.activities)} activities (each linked to a contact and an account), ${thousands(volume.leads)} leads and ${thousands(volume.opportunities)} opportunities.
One request at a time, medians of fifteen, of another record each time; and how often Postgres read a whole table for them. The reports add up
the whole organisation.

${table(
  ['question', 'request', 'ms', 'tables read through'],
  sales.map(({ title, request, ms, scans }) => [
    title,
    `\`GET /api${request}\``,
    milliseconds(ms),
    scans
  ])
)}
`
}
