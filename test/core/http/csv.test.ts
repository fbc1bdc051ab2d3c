import { assert, constantFrom, oneof, property, string } from 'fast-check'
import t from 'tap'
import { csv } from '../../../src/core/http/formats.ts'

/** The cell of a text, without the quotes of CSV. */
function cellOf(text: string): string {
  const [, cell = ''] = /^text\r\n([^]*)\r\n$/.exec(csv([{ text }], ['text'])) ?? []
  return cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell
}

t.test('a formula is preceded by an apostrophe, wherever a spreadsheet may find it', async t => {
  for (const [text, expected] of [
    ['=1+1', "'=1+1"],
    ['+cmd', "'+cmd"],
    ['-2+3', "'-2+3"],
    ['-2+3+cmd', "'-2+3+cmd"],
    ['@SUM(1)', "'@SUM(1)"],
    ['＝1+1', "'＝1+1"],
    [' =1+1', "' =1+1"],
    ['\u00A0=1+1', "'\u00A0=1+1"],
    ['\u200B=1+1', "'\u200B=1+1"],
    ['\u0001=1+1', "'\u0001=1+1"],
    ['\uFEFF \u2060=1+1', "'\uFEFF \u2060=1+1"],
    ['\t=1+1', "\t'=1+1"],
    ['\r=1+1', "\r'=1+1"],
    [';=1+1', ";'=1+1"],
    ['|=1+1', "|'=1+1"],
    ['a; =1+1', "a;' =1+1"],
    ['a\n=1+1|@x', "a\n'=1+1|'@x"],
    ["'=1+1", "''=1+1"],
    ["' =1+1", "'' =1+1"],
    [" ' '=1+1", "' ' '=1+1"]
  ] as const)
    t.equal(cellOf(text), expected, JSON.stringify(text))
})

t.test('other text is as it is', async t => {
  for (const text of [
    'a=b',
    'Müller & Söhne',
    '+1 (234) 567-890',
    '-5',
    '+49 30/123-45',
    "O'Neil",
    "'quoted'",
    'a; b | c',
    ' indented',
    '王 伟'
  ])
    t.equal(cellOf(text), text)
})

/** What an import does: it removes one apostrophe before each formula. */
const restored = (cell: string) =>
  cell.replaceAll(/[^;|\t\r\n]+/g, part => {
    const rest = part.slice(1)
    const isFormula = /^['\p{Z}\p{C}]*[=+\-@\uFF0B\uFF0D\uFF1D\uFF20]/u.test(rest)
    return part.startsWith("'") && isFormula && !/^[+-]?[\d ()./-]+$/.test(rest) ? rest : part
  })

t.test('an import can restore every text', async t => {
  const character = constantFrom(...Array.from(`'=+-@;| \t\n\r",a1(\u00A0\u200B＝`))
  const texts = oneof(string({ unit: character, minLength: 1 }), string({ minLength: 1 }))
  assert(
    property(texts, text => {
      const cell = cellOf(text)
      return restored(cell) === text
    }),
    { numRuns: 20_000 }
  )
  t.pass('20,000 texts')
})

t.test('no cell begins with a formula, whatever the separator', async t => {
  const character = constantFrom(...Array.from(`'=+-@;| \t\n",ab(\u00A0\u200B＝`))
  assert(
    property(string({ unit: character, minLength: 1 }), text =>
      cellOf(text)
        .split(/[;|\t\r\n]/)
        .every(part => !/^[\p{Z}\p{C}]*[=@＝＠]/u.test(part))
    ),
    { numRuns: 20_000 }
  )
  t.pass('20,000 texts')
})

t.test('a formula in the JSON of a list is one, too', async t => {
  const cell = csv([{ rules: [{ value: ';=1+1' }] }], ['rules'])
  t.equal(cell, `rules\r\n"[{""value"":"";'=1+1""}]"\r\n`)
})
