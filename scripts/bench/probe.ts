// Reports what this process uses to its parent, over a channel that costs the requests nothing.
import { writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'

export type Question = 'usage' | 'profile' | { keep: string }
/** CPU time in µs since the start, memory in bytes. */
export interface Usage {
  cpu: number
  rss: number
}

const session = new Session()
session.connect()

async function respond(question: Question): Promise<Usage> {
  if (question === 'profile') {
    await session.post('Profiler.enable')
    await session.post('Profiler.start')
  } else if (typeof question === 'object') {
    writeFileSync(question.keep, JSON.stringify((await session.post('Profiler.stop')).profile))
  }
  const { user, system } = process.cpuUsage()
  return { cpu: user + system, rss: process.memoryUsage.rss() }
}

process.on('message', (question: Question) => {
  void respond(question).then(usage => process.send?.(usage))
})

// an interrupted benchmark leaves no servers
process.on('disconnect', () => {
  process.exit()
})
