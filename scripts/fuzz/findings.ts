import type { Call } from './calls.ts'

/** What was found, by operation and kind, with the first call that shows it. */
export class Findings {
  readonly #found = new Map<string, { count: number; actor: string; call: Call; answer: string }>()

  add(kind: string, actor: string, call: Call, answer: string): void {
    const key = `${call.method} ${call.template}: ${kind}`
    const known = this.#found.get(key)
    if (known) known.count++
    else this.#found.set(key, { count: 1, actor, call, answer })
  }

  get size(): number {
    return this.#found.size
  }

  /** Prints each kind with a call to repeat it. */
  print(): void {
    for (const [key, { count, actor, call, answer }] of this.#found) {
      console.log(`\n${key} (${count}×)`)
      console.log(`  ${call.method} ${call.url} as ${actor} ${JSON.stringify(call.headers)}`)
      if (call.body !== undefined) console.log(`  ${call.body.slice(0, 1000)}`)
      console.log(`  → ${answer.slice(0, 400)}`)
    }
  }
}
