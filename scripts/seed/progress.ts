import { Presets, SingleBar } from 'cli-progress'

export interface Progress {
  advance: (resource: string, count: number) => void
  done: () => void
}

/** Shows a progress bar on a terminal, and at the end the number of records of each resource. */
export function createProgress(total: number): Progress {
  const counts = new Map<string, number>()
  const options = { format: '{bar} {percentage}% {resource}', hideCursor: true }
  const bar = process.stdout.isTTY ? new SingleBar(options, Presets.shades_classic) : undefined
  bar?.start(total, 0, { resource: '' })
  return {
    advance(resource, count) {
      counts.set(resource, (counts.get(resource) ?? 0) + count)
      bar?.increment(count, { resource })
    },
    done() {
      bar?.stop()
      for (const [resource, count] of counts)
        console.log(`${String(count).padStart(8)} ${resource}`)
    }
  }
}
