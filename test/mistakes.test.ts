// Mistakes that somebody could make, each made in a copy of the code: the tests have to notice
// every one.
import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { mistakes, type Mistake } from './support/planted-mistakes.ts'

t.setTimeout(1_800_000)
const copy = mkdtempSync(path.join(tmpdir(), 'smartx-mistakes-'))
t.teardown(() => {
  rmSync(copy, { recursive: true, force: true })
})
for (const folder of ['src', 'test', 'scripts', 'drizzle', 'openapi'])
  cpSync(folder, path.join(copy, folder), { recursive: true })
for (const file of ['package.json', 'tsconfig.json', 'README.md'])
  cpSync(file, path.join(copy, file))
symlinkSync(path.resolve('node_modules'), path.join(copy, 'node_modules'))

/** Runs a test file of the copy. Returns its exit code and what it printed. */
async function run({ test, only }: Pick<Mistake, 'test' | 'only'>) {
  const child = spawn(process.execPath, [path.join('test', test)], {
    cwd: copy,
    env: { ...process.env, NODE_OPTIONS: '', WORLDS: '1', ...(only && { TAP_GREP: `/${only}/` }) }
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const code = await new Promise<number | null>(resolve => child.on('close', resolve))
  return { code, output }
}

for (const { what, file, from, to, ...which } of mistakes)
  t.test(`${what}: ${which.test} notices`, async t => {
    const place = path.join(copy, 'src', file)
    const source = readFileSync(place, 'utf8')
    const parts = source.split(from)
    const [before = '', ...after] = parts
    t.ok(after.length > 0, `${file} has ${from}`)
    writeFileSync(place, `${before}${to}${after.join(from)}`)
    const { code, output } = await run(which)
    writeFileSync(place, source)
    t.equal(code, 1, output.slice(-2000))
    t.notMatch(
      output,
      /^(SyntaxError|ReferenceError|Error \[ERR_MODULE)/m,
      'it notices what the code does'
    )
  })
