// Two phones that work offline, as the README describes it.
import { randomUUID } from 'node:crypto'
import t from 'tap'
import type { Entry } from '../../../src/modules/integrations/events/service.ts'
import { application, organization, type Call } from '../../support/app.ts'

/** Rounds of work on each phone; ROUNDS=300 for more. */
const rounds = Number(process.env.ROUNDS ?? 40)

type Fields = Record<string, string>
interface Contact {
  id: number
  version: number
  deleted_at: string | null
  external_ids: Record<string, string>
}
/** An edit that the server does not have yet: of a contact by its ID, or of a new one by ours. */
interface Edit {
  id: number | null
  ours: string
  version: number | null
  fields: Fields
}
/** What a phone has on its disk. */
interface Disk {
  cursor: string | null
  contacts: Record<number, Contact & Fields>
  edits: Edit[]
  /** What was sent, or is about to be, under this key. */
  sending: { key: string; edits: Edit[] } | null
}

class Crash extends Error {}

class Phone {
  readonly #name: string
  readonly #call: Call
  disk: Disk = { cursor: null, contacts: {}, edits: [], sending: null }
  /** How likely it crashes at each step. */
  risk = 0
  #made = 0

  constructor(name: string, call: Call) {
    this.#name = name
    this.#call = call
  }

  #step(): void {
    if (Math.random() < this.risk) throw new Crash()
  }

  create(fields: Fields): void {
    const ours = `${this.#name}-${this.#made++}`
    this.disk.edits.push({ id: null, ours, version: null, fields })
  }

  edit(id: number, fields: Fields): void {
    const { version } = this.disk.contacts[id]!
    this.disk.edits.push({ id, ours: '', version, fields })
  }

  /** Sends what was done offline, then gets what others did. */
  async sync(): Promise<void> {
    await this.#push()
    await this.#pull()
  }

  async #push(): Promise<void> {
    const { disk } = this
    if (disk.sending === null) {
      if (disk.edits.length === 0) return
      // on the disk before it is sent: after a crash, the same is sent with the same key
      disk.sending = { key: randomUUID(), edits: disk.edits }
      disk.edits = []
    }
    this.#step()
    const { key, edits } = disk.sending
    const operations = edits.map(({ id, ours, version, fields }) =>
      id === null
        ? { op: 'upsert', type: 'contact', match: { external: { phone: ours } }, data: fields }
        : { op: 'update', type: 'contact', id, if_match: version, data: fields }
    )
    const answer = await this.#call(
      'POST /api/batch',
      { mode: 'independent', operations },
      { 'idempotency-key': key }
    )
    this.#step() // the response is lost
    if (answer.statusCode > 207) throw new Error(answer.body)
    const { results } = answer.json<{ results: { status: number; version: number | null }[] }>()
    const refused = edits.filter((_, i) => results[i]!.status === 412)
    for (const [i, { status }] of results.entries())
      if (status >= 400 && status !== 412) throw new Error(JSON.stringify(results[i]))
    // what somebody else changed meanwhile is done again, on their version
    disk.edits = [...refused, ...disk.edits]
    disk.sending = null
  }

  async #pull(): Promise<void> {
    const { disk } = this
    for (let hasMore = true; hasMore;) {
      this.#step()
      const after = disk.cursor === null ? '' : `after=${disk.cursor}&`
      const page = await this.#call(`GET /api/events?${after}types=contact.*&limit=20`)
      const { data, next_cursor, has_more } = page.json<{
        data: Entry[]
        next_cursor: string
        has_more: boolean
      }>()
      this.#step()
      // in one write to the disk
      for (const { subject, after } of data) disk.contacts[subject.id] = after as never
      disk.cursor = next_cursor
      hasMore = has_more
    }
    for (const edit of disk.edits)
      if (edit.id !== null) edit.version = disk.contacts[edit.id]!.version
  }
}

t.test('two phones with conflicting edits and crashes end with what the server has', async t => {
  const app = await application(t)
  const { call, user } = await organization(app)
  const phones = [
    new Phone('a', (await user('user')).call),
    new Phone('b', (await user('user')).call)
  ]
  const pick = <T>(list: T[]): T => list[Math.floor(Math.random() * list.length)]!
  /** The last value that was written of each field. */
  const latest = new Map<string, string>()
  let crashes = 0
  let written = 0
  for (const phone of phones) phone.risk = 0.08
  for (let round = 0; round < rounds * phones.length; round++) {
    const phone = pick(phones)
    const index = phones.indexOf(phone)
    for (let i = Math.floor(Math.random() * 4); i > 0; i--) {
      const known = Object.keys(phone.disk.contacts).map(Number)
      const mark = `${index}-${written++}`
      if (known.length < 3 || Math.random() < 0.2)
        phone.create({ first_name: 'N', last_name: mark })
      // each phone writes a field of its own, and one that both write
      else {
        const [id, field] = [pick(known), index === 0 ? 'company' : 'position']
        phone.edit(id, { [field]: mark, phone: '555' })
        latest.set(`${id} ${field}`, mark)
      }
    }
    if (Math.random() < 0.5) continue // still offline
    await phone.sync().catch((error: unknown) => {
      if (!(error instanceof Crash)) throw error
      crashes++
      phone.disk = structuredClone(phone.disk) // what was not on the disk is gone
    })
  }
  for (const phone of phones) phone.risk = 0
  const isDone = () => phones.every(({ disk }) => disk.edits.length === 0 && disk.sending === null)
  for (let i = 0; i < 50 && !isDone(); i++) for (const phone of phones) await phone.sync()
  for (const phone of phones) await phone.sync()

  t.ok(isDone(), 'all edits have arrived')
  t.ok(crashes > 0, `${crashes} crashes`)
  const { data } = (await call('GET /api/contacts?limit=200')).json<{ data: Contact[] }>()
  const server = Object.fromEntries(data.map(contact => [contact.id, contact]))
  for (const { disk } of phones) t.same(disk.contacts, server)
  for (const [place, mark] of latest) {
    const [id, field] = place.split(' ') as [string, string]
    t.equal((server[id] as unknown as Fields)[field], mark, `no edit of ${place} is lost`)
  }
  const ours = data.map(({ external_ids }) => external_ids.phone)
  t.equal(new Set(ours).size, data.length, 'each contact was made once')
})
