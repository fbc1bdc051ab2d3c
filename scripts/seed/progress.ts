import { Presets, SingleBar } from 'cli-progress'

export interface Progress {
  advance: (what: string, count: number) => void
  done: () => void
}

/** A progress bar on a terminal, and at the end the number of records of each kind. */
export function progressOf(total: number): Progress {
  const counts = new Map<string, number>()
  const options = { format: '{bar} {percentage}% {what}', hideCursor: true }
  const bar = process.stdout.isTTY ? new SingleBar(options, Presets.shades_classic) : undefined
  bar?.start(total, 0, { what: '' })
  return {
    advance(what, count) {
      counts.set(what, (counts.get(what) ?? 0) + count)
      bar?.increment(count, { what })
    },
    done() {
      bar?.stop()
      const lines = [...counts].map(([what, count]) => `${String(count).padStart(8)} ${what}`)
      console.log(lines.join('\n'))
    }
  }
}
