import type { Context } from '../access/context.ts'
import type { Principal } from '../access/principal.ts'
import { decrypt, encrypt } from '../access/encryption.ts'
import { identifier, instant } from '../db/columns.ts'
import { customType, index, integer, jsonb, pgTable, primaryKey, sql, text } from '../db/drizzle.ts'
import { defineExpiry } from '../db/expiry.ts'
import { compile, organization, ours } from '../db/sql.ts'

const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' })

/** Hours for which an answer is kept. */
export const retentionHours = 24

/**
 * The answers to writes that were sent with an `Idempotency-Key`, written in the transaction of the
 * write. `request` is the SHA-256 of what was sent. The body is encrypted: it can have a secret
 * that is shown only once.
 */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    organization_id: identifier().notNull(),
    credential: text().notNull(),
    key: text().notNull(),
    method: text().notNull(),
    path: text().notNull(),
    request: bytea().notNull(),
    status: integer().notNull(),
    headers: jsonb().$type<Record<string, string>>().notNull(),
    encrypted_body: text(),
    created_at: instant().notNull().defaultNow()
  },
  t => [
    primaryKey({ name: 'idempotency_keys_key', columns: [t.organization_id, t.credential, t.key] }),
    // cheap where rows come in the order of time, as they do here
    index('idx_idempotency_keys_created_at').using('brin', t.created_at)
  ]
)
const oldest = sql`now() - ${sql.raw(`interval '${retentionHours} hours'`)}`
const isKept = sql`created_at > ${oldest}`
defineExpiry(idempotencyKeys, sql`not ${isKept}`)

/** A write as its sender knows it: by a key of theirs. */
export interface KeyedRequest {
  key: string
  method: string
  path: string
  /** SHA-256 of what was sent. */
  digest: Buffer
}

/** A response as it was sent, or will be; `body` is empty without one. */
export interface StoredResponse {
  status: number
  headers: Record<string, string>
  body: string
}

/**
 * The response that is kept under a key, and to which request. It cannot be read if the server has
 * another secret since, or the caller other rights.
 */
export interface Kept {
  request: Omit<KeyedRequest, 'key'>
  answer: StoredResponse | undefined
}

/** For a key that another transaction is using, or that has a response. */
export class KeyTaken extends Error {}
/** What Postgres reports then, see `claim_idempotency_key`. */
const taken = 'SX001'

interface Row {
  method: string
  path: string
  request: Buffer
  status: number
  headers: Record<string, string>
  encrypted_body: string | null
}

/** Keys are those of an API token, or of a user in whatever session. */
const credentialOf = ({ token, user_id }: Principal): string =>
  token ? `token/${token.id}` : `user/${user_id}`

/** What the encrypted body of a key is bound to: whose it is, and what they may do. */
const ownerOf = ({ principal, organization_id }: Context, key: string) =>
  [organization_id, credentialOf(principal), key, principal.access.fingerprint].join('/')

const secretOf = ({ services }: Context) => services.keyFor('idempotency')

const credential = sql.placeholder('credential')
const key = sql.placeholder('key')

const claim = compile<object>(
  sql`select claim_idempotency_key(${organization}, ${credential}, ${key}, ${oldest})`
)
const selectResponse = compile<Row>(
  sql`select method, path, request, status, headers, encrypted_body from ${ours(idempotencyKeys)}
    where credential = ${credential} and key = ${key} and ${isKept}`
)
const insertResponse = compile<object>(sql`insert into ${idempotencyKeys}
    (organization_id, credential, key, method, path, request, status, headers, encrypted_body)
  values (${organization}, ${credential}, ${key}, ${sql.placeholder('method')},
    ${sql.placeholder('path')}, ${sql.placeholder('digest')}, ${sql.placeholder('status')},
    ${sql.placeholder('headers')}::text::jsonb, ${sql.placeholder('body')})
  on conflict (organization_id, credential, key) do update set method = excluded.method,
    path = excluded.path, request = excluded.request, status = excluded.status,
    headers = excluded.headers, encrypted_body = excluded.encrypted_body,
    created_at = excluded.created_at`)

/**
 * Claims a key until the transaction of `ctx` ends. Whatever is sent in it without waiting for that
 * fails if the key is taken. Errors: `KeyTaken`.
 */
export async function claimKey(ctx: Context, key: string): Promise<void> {
  try {
    await ctx.read(claim, { credential: credentialOf(ctx.principal), key })
  } catch (error) {
    throw (error as { code?: string }).code === taken ? new KeyTaken() : error
  }
}

/** What is kept under a key; undefined: nothing, or nothing yet. */
export async function findResponse(ctx: Context, key: string): Promise<Kept | undefined> {
  const [row] = await ctx.read(selectResponse, { credential: credentialOf(ctx.principal), key })
  if (!row) return undefined
  const { method, path, request: digest } = row
  return { request: { method, path, digest }, answer: responseOf(ctx, key, row) }
}

function responseOf(ctx: Context, key: string, row: Row): StoredResponse | undefined {
  const { status, headers, encrypted_body } = row
  if (encrypted_body === null) return { status, headers, body: '' }
  try {
    return { status, headers, body: decrypt(secretOf(ctx), encrypted_body, ownerOf(ctx, key)) }
  } catch {
    return undefined
  }
}

/** Keeps the answer to a request whose key was claimed, at the commit of `ctx`. */
export function storeResponse(
  ctx: Context,
  { key, method, path, digest }: KeyedRequest,
  { status, headers, body }: StoredResponse
): void {
  ctx.writeAtCommit(insertResponse, {
    credential: credentialOf(ctx.principal),
    key,
    method,
    path,
    digest,
    status,
    headers: JSON.stringify(headers),
    body: body === '' ? null : encrypt(secretOf(ctx), body, ownerOf(ctx, key))
  })
}
