import { Transform } from 'node:stream'
import { Parser } from 'tap-parser'

/**
 * Shows what failed, in full, and ends with `N passed, N failed`. Loaded by tap itself, so it is
 * not TypeScript.
 */
export default class Reporter extends Transform {
  #parser = new Parser({ strict: false })
  #counts = { files: 0, passed: 0, failed: 0, skipped: 0 }

  constructor() {
    super()
    let failedBefore = 0
    this.#parser.on('child', file => {
      failedBefore = this.#counts.failed
      this.#counts.files++
      this.#watch(file, [file.name ?? 'a file'])
    })
    // the line of the file itself: it fails alone when the file did not load, took too long or was
    // killed
    this.#parser.on('assert', line => {
      if (!line.ok && !line.todo && !line.skip && this.#counts.failed === failedBefore)
        this.#failed(line.name, line.diag)
      if (line.skip) this.#skipped(line.name, line.skip)
    })
    this.#parser.on('complete', () => {
      const { files, passed, failed, skipped } = this.#counts
      this.push(
        `\n${files} files${skipped > 0 ? `, ${skipped} skipped` : ''}\n${passed} passed, ${failed} failed\n`
      )
    })
  }

  #watch(parser, trail) {
    const children = new Set()
    parser.on('child', child => {
      children.add(child.name)
      this.#watch(child, [...trail, child.name])
    })
    parser.on('assert', line => {
      if (line.skip) this.#skipped([...trail, line.name].join(' > '), line.skip)
      else if (children.has(line.name)) return // the sum of a subtest, whose lines were counted
      else if (line.ok || line.todo) this.#counts.passed++
      else this.#failed([...trail, line.name].join(' > '), line.diag)
    })
  }

  #skipped(name, why) {
    this.#counts.skipped++
    this.push(`skipped: ${name}${typeof why === 'string' ? `: ${why}` : ''}\n`)
  }

  #failed(name, details) {
    this.#counts.failed++
    this.push(`\nFAILED ${name}\n${JSON.stringify(details ?? {}, null, 2)}\n`)
  }

  _transform(chunk, _encoding, done) {
    this.#parser.write(chunk)
    done()
  }

  _flush(done) {
    this.#parser.end()
    done()
  }
}
