// Reports the resource usage of this process to its parent over IPC, apart from its requests.
import { writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'

/** Report usage, and start a CPU profile or write the started one to a file. */
export type ProbeCommand = 'usage' | 'profile' | { saveTo: string }

/** CPU time in µs since the start, memory in bytes. */
export interface Usage {
  cpu: number
  rss: number
}

const session = new Session()
session.connect()

async function execute(command: ProbeCommand): Promise<Usage> {
  if (command === 'profile') {
    await session.post('Profiler.enable')
    await session.post('Profiler.start')
  } else if (typeof command === 'object') {
    const { profile } = await session.post('Profiler.stop')
    writeFileSync(command.saveTo, JSON.stringify(profile))
  }
  const { user, system } = process.cpuUsage()
  return { cpu: user + system, rss: process.memoryUsage.rss() }
}

process.on('message', (command: ProbeCommand) => {
  void execute(command).then(usage => process.send?.(usage))
})

// an interrupted benchmark leaves no servers
process.on('disconnect', () => {
  process.exit()
})
