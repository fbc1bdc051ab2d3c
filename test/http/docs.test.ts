import { existsSync, readFileSync } from 'node:fs'
import { chromium, type Page } from 'playwright-core'
import t from 'tap'
import { application, longTimeouts } from '../support/app.ts'
import {
  componentOf,
  credentials,
  documentOf,
  exampleOf,
  installation,
  isComplete,
  parametersOf,
  requestsOf,
  sendExamples,
  type Content,
  type Refusal,
  type Request
} from '../support/examples.ts'

const browser = '/usr/bin/chromium'
/** Executes an operation with what Swagger UI fills in. Returns the status it shows. */
async function tryOut(page: Page, name: string): Promise<string> {
  const operation = page.locator(`#operations-${name}`)
  await operation.locator('.opblock-summary-control').click()
  await operation.locator('.execute').click()
  return (
    await operation.locator('.live-responses-table tbody .response-col_status').first().innerText()
  ).trim()
}

t.test('openapi/openapi.json is the served document', async t => {
  const app = await application(t)
  const served = await app.inject('/openapi.json')
  t.same(served.json(), JSON.parse(readFileSync('openapi/openapi.json', 'utf8')))
})

t.test(
  'every operation has a name, a description, and examples of its request and response',
  async t => {
    const document = documentOf(await application(t))
    const requests = requestsOf(document)
    t.equal(
      new Set(requests.map(({ operationId }) => operationId)).size,
      requests.length,
      'names are unique'
    )
    for (const request of requests) {
      const { method, path, summary, description, tags, requestBody, responses } = request
      const contents = [
        requestBody,
        ...Object.entries(responses)
          .filter(([status]) => status.startsWith('2'))
          .map(([, answer]) =>
            componentOf<{ content?: Content }>(document.components.responses, answer)
          )
      ].flatMap(message => Object.values(message?.content ?? {}))
      t.ok(
        summary && description && tags.length === 1,
        `${method} ${path} has a summary, a description and a tag`
      )
      for (const { schema } of contents) {
        const example = exampleOf(document, schema)
        t.ok(isComplete(example), `${method} ${path} has a whole example`, { example })
      }
      for (const { name, in: place, schema } of parametersOf(document, request))
        if (place === 'path')
          t.ok(
            isComplete(exampleOf(document, schema)),
            `${method} ${path} has an example of ${name}`
          )
    }
  }
)

t.test('every kind of error has its own example', async t => {
  const { paths, components } = documentOf(await application(t))
  const refusals = Object.entries(components.responses).filter(([status]) => Number(status) >= 400)
  const examples = refusals.map(([name, { content }]) => ({
    name,
    ...(content as unknown as Refusal['content'])['application/problem+json'].example
  }))
  t.equal(new Set(examples.map(({ code }) => code)).size, examples.length)
  for (const operation of Object.values(paths).flatMap(operations => Object.values(operations))) {
    for (const [status, answer] of Object.entries(operation.responses) as [
      string,
      { $ref?: string }
    ][]) {
      if (answer.$ref && Number(status) >= 400)
        t.equal(
          examples.find(({ name }) => answer.$ref!.endsWith(`/${name}`))?.status,
          Number(status)
        )
    }
  }
})

t.test(
  'no field has a default, which generated types would require; descriptions have it',
  async t => {
    const { schemas } = documentOf(await application(t)).components
    t.same(
      Object.values(schemas)
        .flatMap(({ properties = {} }) => Object.values(properties))
        .filter(property => 'default' in property),
      []
    )
    t.match(schemas.NewLead!.properties!.status, {
      description: 'Status. Default: new.'
    })
    t.match(schemas.Lead!.properties!.status, { description: 'Status.' })
  }
)

t.test('every operation works with its examples', async t => {
  await sendExamples(t, await installation(t))
})

t.test('only lists and reports wait for the slow statements of their organization', async t => {
  const timeouts = { ...longTimeouts, turn: 100 }
  const app = await installation(t, { database: { strict_locks: true, timeouts } })
  const { turns, listReads } = app.services.database
  const isSlow = ({ method, path }: Request) =>
    method === 'GET' && !/^\/(api\/auth\/.*|api\/(?!operations)\w+\/\{id\})$/.test(path)
  await sendExamples(t, app, async (request, send) => {
    if (isSlow(request)) return await send()
    listReads.markSlow(1)
    const ends = await Promise.all([1, 2, 3].map(async () => await turns.slow.begin(1)))
    try {
      return await send()
    } finally {
      for (const end of ends) end()
    }
  })
})

t.test(
  'a partner logs in and tries calls in Swagger UI, which connects only to this server',
  { skip: existsSync(browser) ? false : `${browser} is not installed` },
  async t => {
    const app = await installation(t)
    const origin = await app.listen({ port: 0, host: '127.0.0.1' })
    const chrome = await chromium.launch({
      executablePath: browser,
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync'
      ]
    })
    t.teardown(async () => {
      await chrome.close()
    })
    const page = await chrome.newPage()
    page.setDefaultTimeout(15_000)
    const faults: string[] = []
    page.on('console', message => {
      if (['error', 'warning'].includes(message.type())) faults.push(message.text())
    })
    page.on('pageerror', error => {
      faults.push(error.message)
    })
    page.on('request', request => {
      if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith('data:'))
        faults.push(`asks ${request.url()}`)
    })
    await page.addInitScript(
      'addEventListener("securitypolicyviolation", event => { console.error("CSP", ' +
        'event.violatedDirective, event.blockedURI) })'
    )

    await page.goto(origin)
    await page.locator('.auth-wrapper > .authorize').click()
    await page.locator('#oauth_username').fill(credentials.username)
    await page.locator('#oauth_password').fill(credentials.password)
    await page
      .locator('.auth-container', { has: page.locator('#oauth_username') })
      .locator('button.authorize')
      .click()
    await page.locator('.auth-container').getByText('Logout').waitFor()
    await page.locator('.modal-ux .btn-done').first().click()

    await page.locator('#operations-tag-contacts').click()
    t.equal(await tryOut(page, 'contacts-createContact'), '201')
    t.equal(await tryOut(page, 'contacts-getContact'), '200')
    t.equal(await tryOut(page, 'contacts-updateContact'), '200')
    const listed = page.waitForRequest(request => request.url().includes('/api/contacts?'))
    t.equal(await tryOut(page, 'contacts-listContacts'), '200')
    t.equal(
      (await listed).url(),
      `${origin}/api/contacts?limit=50&deleted=false&bom=false`,
      'no parameter has a value but its default'
    )
    t.equal(await tryOut(page, 'contacts-deleteContact'), '204')
    const refusal = page.locator('#operations-contacts-createContact [data-code="409"]')
    t.notMatch(await refusal.innerText(), 'duplicate', 'an error is one line')
    await refusal.locator('.response-col_status').click()
    t.match(await refusal.innerText(), '"code": "duplicate"', 'before it is expanded')
    await page.locator('#operations-tag-auth').click()
    t.equal(await tryOut(page, 'auth-createToken'), '200', 'also as a form')
    t.same(faults, [])
  }
)
