import { Transform } from 'node:stream'
import { Parser } from 'tap-parser'

/**
 * Prints failures in full, and `N passed, N failed` at the end. tap itself loads it, which is why
 * it is not TypeScript.
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
    // the line of the file itself fails alone if the file did not load, took too long or was
    // killed
    this.#parser.on('assert', line => {
      if (!line.ok && !line.todo && !line.skip && this.#counts.failed === failedBefore)
        this.#failed(line.name, line.diag)
      if (line.skip) this.#skipped(line.name, line.skip)
    })
    this.#parser.on('complete', () => {
      const { files, passed, failed, skipped } = this.#counts
      const skips = skipped > 0 ? `, ${skipped} skipped` : ''
      this.push(`\n${files} files${skips}\n${passed} passed, ${failed} failed\n`)
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
      else if (children.has(line.name)) return // a subtest, whose lines were counted
      else if (line.ok || line.todo) this.#counts.passed++
      else this.#failed([...trail, line.name].join(' > '), line.diag)
    })
  }

  #skipped(name, reason) {
    this.#counts.skipped++
    this.push(`skipped: ${name}${typeof reason === 'string' ? `: ${reason}` : ''}\n`)
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
