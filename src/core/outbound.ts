import type { LookupAddress, LookupOptions } from 'node:dns'
import { isIP } from 'node:net'
import type { Agent, buildConnector } from 'undici'
import { isPublic, isWithin } from './access/networks.ts'
import { nameLookup, type NameLookup } from './name-lookup.ts'

/** A request to a server that someone else chose. */
interface OutboundRequest {
  method?: string
  headers?: Record<string, string>
  body?: unknown
  signal?: AbortSignal
  /** Milliseconds for the whole of it. */
  time?: number
  /** Bytes of the response to read; what follows them is not read. Default: all of it. */
  bytes?: number
}

/** What sends requests to servers that users name, such as identity providers. */
export interface Outbound {
  /**
   * Sends a request and reads the response, or its beginning. Redirects are not followed. Errors:
   * of the network; `ForbiddenAddress`; for a response that is too large or takes too long.
   */
  fetch: (url: string, request?: OutboundRequest) => Promise<Response>
  /** Whether a URL can be requested, as far as its text tells; its name is not looked up. */
  permits: (url: string) => boolean
  close: () => Promise<void>
}

/** One text for all: who chooses a server must not learn which names there are in our network. */
const unreachable =
  'The server has no address that is public or in OUTBOUND_NETWORKS, or its name is unknown.'

/** The address of a server is in a network that requests may not go to. */
class ForbiddenAddress extends Error {
  constructor() {
    super(unreachable)
  }
}

/** Milliseconds for the whole of a request, and for a connection. */
const limit = 5_000
const connectLimit = 3_000
/** Bytes of a response. */
const maxResponse = 512 * 1024

/**
 * Sends requests to public addresses by TLS, and to `networks` (addresses and ranges) also without.
 * It is the address that is connected to which counts: a name is looked up once, for the check and
 * for the connection, so that it cannot mean another address a moment later.
 */
export function createOutbound(
  networks: readonly string[],
  lookup: NameLookup = nameLookup(networks.length > 0)
): Outbound {
  const isAllowed: IsAllowed = (address, protocol) =>
    isWithin(address, networks) || (protocol === 'https:' && isPublic(address))
  let agent: Promise<Agent> | undefined
  return {
    async fetch(url, { method = 'GET', headers = {}, body, signal, time = limit, bytes } = {}) {
      const timeout = AbortSignal.timeout(time)
      const { request } = await import('undici') // most processes never need it
      const { statusCode, ...answer } = await request(url, {
        dispatcher: await (agent ??= openAgent(isAllowed, lookup)),
        method: method as 'GET',
        headers,
        headersTimeout: time,
        bodyTimeout: time,
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        ...(body !== undefined && body !== null && { body: textOf(body) })
      })
      const content = await (bytes === undefined
        ? answer.body.arrayBuffer()
        : beginningOf(answer.body, bytes))
      return new Response(withoutBody.has(statusCode) ? null : content, {
        status: statusCode,
        headers: Object.entries(answer.headers).flatMap(([name, values]) =>
          [values ?? []].flat().map((value): [string, string] => [name, value])
        )
      })
    },
    permits(url) {
      const { protocol, hostname } = new URL(url)
      const host = withoutBrackets(hostname)
      if (isIP(host) !== 0) return isAllowed(host, protocol)
      return protocol === 'https:' || (protocol === 'http:' && networks.length > 0)
    },
    close: async () => await (await agent)?.destroy()
  }
}

/** Statuses whose responses have no body (see `Response`). */
const withoutBody = new Set([204, 205, 304])

/** The first bytes of a body; to end the loop before its end closes the connection. */
async function beginningOf(body: AsyncIterable<Buffer>, bytes: number) {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of body) {
    chunks.push(chunk)
    length += chunk.length
    if (length >= bytes) break
  }
  return new Uint8Array(Buffer.concat(chunks).subarray(0, bytes))
}

/** Bodies are texts: forms and JSON. */
const textOf = (body: unknown): string =>
  body instanceof URLSearchParams ? body.toString() : String(body)

/** `[::1]` in a URL is the address `::1`. */
const withoutBrackets = (hostname: string) => hostname.replace(/^\[(.*)\]$/, '$1')

/** Whether an address may be connected to by `http:` or `https:`. */
type IsAllowed = (address: string, protocol: string) => boolean

async function openAgent(isAllowed: IsAllowed, lookup: NameLookup): Promise<Agent> {
  const { Agent, buildConnector } = await import('undici')
  return new Agent({
    connect: connectorTo(isAllowed, lookup, buildConnector),
    maxResponseSize: maxResponse,
    connections: 25
  })
}

/** Connects only to addresses that are allowed for the protocol. */
function connectorTo(
  isAllowed: IsAllowed,
  lookup: NameLookup,
  build: typeof buildConnector
): buildConnector.connector {
  const connectors = new Map(
    ['http:', 'https:'].map(protocol => [
      protocol,
      build({
        timeout: connectLimit,
        allowH2: false,
        lookup: lookingUp(lookup, address => isAllowed(address, protocol))
      })
    ])
  )
  return (options, callback) => {
    const { hostname, protocol } = options
    const host = withoutBrackets(hostname)
    const connect = connectors.get(protocol)
    // an address is not looked up
    if (!connect || (isIP(host) !== 0 && !isAllowed(host, protocol)))
      return callback(new ForbiddenAddress(), null)
    connect({ ...options, hostname: host }, callback)
  }
}

type LookedUp = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number
) => void

/** Looks up a name, and refuses it if one of its addresses is not allowed. */
const lookingUp =
  (lookup: NameLookup, isAllowed: (address: string) => boolean) =>
  (hostname: string, options: LookupOptions, callback: LookedUp): void => {
    const refuse = () => {
      callback(new ForbiddenAddress(), [])
    }
    lookup(hostname).then(addresses => {
      if (!addresses.every(({ address }) => isAllowed(address))) return refuse()
      if (options.all) return callback(null, addresses)
      const [{ address, family }] = addresses as [LookupAddress]
      callback(null, address, family)
    }, refuse)
  }
