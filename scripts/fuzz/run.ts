import type { LightMyRequestResponse } from 'fastify'
import { plant, holds, ours, theirs } from '../../test/support/plant.ts'
import type { Actor, App } from './actors.ts'
import { Calls, type Call } from './calls.ts'
import { Checks } from './checks.ts'
import type { Document, Operation } from './document.ts'
import type { Findings } from './findings.ts'
import { randomOf, type Random } from './random.ts'
import { Values } from './values.ts'

interface People {
  /** Users of our organization. */
  actors: Actor[]
  /** An admin of another one. */
  stranger: Actor
}

/** Rules that no schema expresses have the code `invalid`, others the keyword of the schema. */
const isRefusedBySchema = ({ url }: Call, answer: LightMyRequestResponse): boolean => {
  if (answer.statusCode !== 400) return false
  const { errors = [], error } = answer.json<{ errors?: { code: string }[]; error?: string }>()
  // what OAuth requires depends on the grant type
  if (error !== undefined) return false
  // what an upsert requires depends on what it matches by, and on whether there is a match
  const isUpsert = /\/external\/|[?&]match=/.test(url)
  return errors.some(({ code }) => code !== 'invalid' && !(isUpsert && code === 'required'))
}

/** A run of the fuzzer: makes calls, follows up on what they create, and notes what is wrong. */
export class Run {
  readonly #app: App
  readonly #findings: Findings
  readonly #people: People
  readonly #random: Random
  readonly #checks: Checks
  readonly #calls: Calls
  readonly #operations: [method: string, template: string, operation: Operation][]
  /** IDs of our records and those of the other organization, by the path of their resource. */
  readonly #ids = new Map<string, number[]>()
  readonly #foreignIds = new Map<string, number[]>()
  /** How many answers had each status. */
  readonly statuses = new Map<number, number>()
  #made = 0

  constructor(app: App, document: Document, findings: Findings, seed: number, people: People) {
    this.#app = app
    this.#findings = findings
    this.#people = people
    this.#random = randomOf(seed)
    this.#checks = new Checks(document)
    const values = new Values(document, this.#random, () => this.#anyId())
    this.#calls = new Calls(document, this.#random, values, area => this.#idOf(area))
    this.#operations = Object.entries(document.paths).flatMap(([template, operations]) =>
      Object.entries(operations).map(
        ([method, operation]) => [method, template, operation] as [string, string, Operation]
      )
    )
  }

  /** Plants marked records in both organizations. */
  async prepare(): Promise<void> {
    const { actors, stranger } = this.#people
    for (const [actor, mark, known] of [
      [actors[0]!, ours, this.#ids],
      [stranger, theirs, this.#foreignIds]
    ] as const) {
      const call = async (request: string, body?: object) => {
        const [method, url] = request.split(' ') as ['POST', string]
        const headers = await actor.headers()
        return await this.#app.inject({ method, url, headers, ...(body && { payload: body }) })
      }
      const ids = await plant(call, mark)
      for (const [area, id] of Object.entries(ids)) known.set(area, [id])
    }
  }

  /** Makes this many calls, of each operation in turn, with what follows them. */
  async make(count: number): Promise<number> {
    for (let turn = 0; this.#made < count; turn++) {
      const [method, template, operation] = this.#operations[turn % this.#operations.length]!
      const call = this.#calls.next(method, template, operation)
      const actor = this.#anyone()
      const answer = await this.#send(call, actor)
      if (answer.statusCode === 201 && actor) await this.#followUp(call, actor, answer)
    }
    return this.#made
  }

  /** Mostly the admin, who may do everything; at times nobody. */
  #anyone(): Actor | undefined {
    const { actors, stranger } = this.#people
    if (this.#random.chance(0.05)) return undefined
    if (this.#random.chance(0.1)) return stranger
    return this.#random.chance(0.6) ? actors[0] : this.#random.pick(actors)
  }

  #idOf(area: string): number {
    const known = this.#random.chance(0.1) ? this.#foreignIds : this.#ids
    return this.#random.pick(known.get(area) ?? [1, 999_999_999])
  }

  #anyId = (): number => this.#idOf(this.#random.pick([...this.#ids.keys()]))

  async #send(call: Call, actor: Actor | undefined): Promise<LightMyRequestResponse> {
    this.#made++
    const answer = await this.#app.inject({
      method: call.method as 'GET',
      url: call.url,
      headers: { ...call.headers, ...(await actor?.headers()) },
      ...(call.body !== undefined && { payload: call.body })
    })
    const { statusCode } = answer
    this.statuses.set(statusCode, (this.statuses.get(statusCode) ?? 0) + 1)
    if (statusCode === 401 || call.template.startsWith('/api/auth/')) actor?.forget()
    if (call.template === '/api/organization' && statusCode === 200)
      await actor?.requireNoSecondFactor()
    const name = actor?.name ?? 'nobody'
    const note = (kind: string) => {
      this.#findings.add(kind, name, call, `${answer.statusCode} ${answer.body}`)
    }
    for (const mistake of this.#checks.mistakes(call, answer)) note(mistake)
    if (holds(answer.body, actor === this.#people.stranger ? ours : theirs))
      note('shows data of another organization')
    if (call.isValid && isRefusedBySchema(call, answer))
      note('refuses a request that the document allows')
    return answer
  }

  /** A new record can be read, changed at its version, and not at another one. */
  async #followUp(created: Call, actor: Actor, answer: LightMyRequestResponse): Promise<void> {
    const area = created.template.split('/')[2]!
    const { location } = answer.headers
    const get = this.#operations.find(
      ([method, template]) => method === 'get' && template === `/api/${area}/{id}`
    )
    if (created.template !== `/api/${area}` || location === undefined || !get) return
    const { id, version } = answer.json<{ id?: number; version?: number }>()
    // `fields` may have left them out
    if (id === undefined || version === undefined) return
    if (actor !== this.#people.stranger) this.#remember(area, id)
    const call = (method: string, headers: Call['headers'], body?: string): Call => ({
      method,
      template: get[1],
      operation: this.#operations.find(
        ([verb, template]) => verb === method.toLowerCase() && template === get[1]
      )![2],
      url: location,
      headers,
      isValid: false,
      ...(body !== undefined && { body })
    })
    const expect = async (one: Call, expected: number, what: string) => {
      const { statusCode, body } = await this.#send(one, actor)
      if (statusCode !== expected)
        this.#findings.add(what, actor.name, one, `${statusCode} ${body}`)
    }
    const json = { 'content-type': 'application/json' }
    await expect(call('GET', {}), 200, 'a new record cannot be read')
    if (!this.#operations.some(([verb, path]) => verb === 'put' && path === get[1])) return
    // a credential is in no other response, and cannot be changed
    const { token: _, ...record } = answer.json<{ token?: string }>()
    const body = JSON.stringify(record)
    const stale = { ...json, 'if-match': `"${version + 7}"` }
    await expect(call('PUT', stale, body), 412, 'a stale change is not refused')
    const current = { ...json, 'if-match': `"${version}"` }
    await expect(call('PUT', current, body), 200, 'a record cannot be sent back unchanged')
  }

  /** Keeps a few IDs of each resource, so that they meet often. */
  #remember(area: string, id: number): void {
    const known = this.#ids.get(area) ?? []
    this.#ids.set(area, [...known.slice(-19), id])
  }
}
