import { readFileSync } from 'node:fs'
import t from 'tap'

interface Item {
  name: string
  event?: { script: { exec: string[] } }[]
  request: {
    method: string
    header: { key: string; disabled?: boolean }[]
    body?: { raw?: string; urlencoded?: object[] }
    url: { raw: string; query?: { key: string; value: string; disabled: boolean }[] }
  }
}
const readJson = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as unknown
const { item: folders, variable } = readJson('openapi/postman.json') as {
  item: { name: string; item: Item[] }[]
  variable: { key: string; value: string }[]
}
const { paths, tags } = readJson('openapi/openapi.json') as {
  paths: Record<string, Record<string, object>>
  tags: { name: string }[]
}
const items = folders.flatMap(({ item }) => item)
const named = (name: string) => items.find(item => item.name === name)!

t.test('the collection has every operation, in a folder of its tag', t => {
  const operations = Object.entries(paths).flatMap(([path, of]) =>
    Object.keys(of).map(method => `${method.toUpperCase()} ${path.replaceAll(/\{\w+\}/g, '*')}`)
  )
  const template = (raw: string) =>
    raw
      .replace('{{baseUrl}}', '')
      .replaceAll(/\{\{\w+\}\}/g, '*')
      .replace(/(problems|sign-in)\/(?!exchange)\w+/, '$1/*')
      .replace(/\/external\/.*/, '/external/*/*')
      .replace(/\/links\/\w+\//, '/links/*/')
  const requests = items.map(({ request: { method, url } }) => `${method} ${template(url.raw)}`)
  t.same([...new Set(requests)].toSorted(), operations.toSorted())
  const names = folders.map(({ name }) => name)
  t.same(names.toSorted(), [...tags.map(({ name }) => name), 'clean up'].toSorted())
  t.ok(names.indexOf('tags') < names.indexOf('contacts'), 'paths of contacts have IDs of tags')
  t.equal(names.at(-1), 'clean up')
  t.end()
})

t.test('optional parameters have an example, and are off', t => {
  const { query = [] } = named('List contacts').request.url
  t.ok(query.length > 50)
  for (const { key, value, disabled } of query) {
    t.ok(disabled, key)
    t.ok(value !== '' || key === 'cursor', key)
  }
  const headers = items.flatMap(({ request }) => request.header)
  t.same(
    [...new Set(headers.filter(({ disabled }) => !disabled).map(({ key }) => key))],
    ['Content-Type', 'prefer']
  )
  t.end()
})

t.test('requests use what those before them created', t => {
  t.match(named('Log in').event?.[0]?.script.exec, [
    "pm.collectionVariables.set('token', pm.response.json().token)"
  ])
  t.match(named('Create a contact').event?.[0]?.script.exec, [
    "pm.collectionVariables.set('contact_id', pm.response.json().id)"
  ])
  t.match(named('Create a lead').request.body?.raw, '"contact_id": {{contact_id}},')
  t.match(named('Create an activity').request.body?.raw, '"id": {{contact_id}}')
  t.match(named('Create a team').request.body?.raw, /"member_ids": \[\s*\{\{own_id\}\}/)
  t.match(named('Create a user').request.body?.raw, '"maria{{$timestamp}}@example.com"')
  const known = new Set(variable.map(({ key }) => key))
  for (const [, name] of JSON.stringify(items).matchAll(/\{\{(\w+)\}\}/g))
    t.ok(known.has(name!), `${name} is a variable`)
  t.end()
})
