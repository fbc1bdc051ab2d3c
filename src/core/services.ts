import type { Passwords } from './access/passwords.ts'
import type { Cache } from './cache/cache.ts'
import type { Database } from './db/connections.ts'
import type { Files } from './files.ts'
import type { Mailer } from './mail.ts'
import type { Outbound } from './outbound.ts'
import type { Cursors } from './records/cursor.ts'
import type { Sequencer } from './records/sequencer.ts'

/** What exists once per process. */
export interface Services {
  database: Database
  cache: Cache
  cursors: Cursors
  files: Files
  sequencer: Sequencer
  passwords: Passwords
  /** undefined: no mail can be sent. */
  mailer: Mailer | undefined
  /** Sends requests to servers that users name. */
  outbound: Outbound
  /** The key for one purpose, derived from the secret that all processes share. */
  keyFor: (purpose: string) => string
}
