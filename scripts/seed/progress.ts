import { Presets, SingleBar } from 'cli-progress'

/** A bar on a terminal; elsewhere a line for each kind of thing that is finished. */
export function progressOf(total: number) {
  const counts = new Map<string, number>()
  const bar = process.stdout.isTTY
    ? new SingleBar(
        { format: '{bar} {percentage}% {what}', hideCursor: true },
        Presets.shades_classic
      )
    : undefined
  bar?.start(total, 0, { what: '' })
  return {
    advance(what: string, count: number) {
      counts.set(what, (counts.get(what) ?? 0) + count)
      bar?.increment(count, { what })
    },
    done() {
      bar?.stop()
      console.log(
        [...counts].map(([what, count]) => `${String(count).padStart(8)} ${what}`).join('\n')
      )
    }
  }
}
