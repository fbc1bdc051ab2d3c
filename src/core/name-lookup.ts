import type { LookupAddress } from 'node:dns'
import { lookup, Resolver } from 'node:dns/promises'
import pLimit from 'p-limit'

/** Finds the addresses of a name, all of them. Errors: those of `node:dns`. */
export type NameLookup = (name: string) => Promise<LookupAddress[]>

/** What a name server is asked: twice at most, so two or three seconds in all. */
const patience = { timeout: 800, tries: 2 }
/** A name server has responded: there is no such name, or no address of it. */
const unknown = new Set(['ENOTFOUND', 'ENODATA'])

/**
 * Finds the addresses of names that anyone may choose, by asking name servers. The lookup of the
 * system has two threads for the whole process: two names whose servers do not respond would stop
 * it for ten seconds or longer, for everybody. `hasHosts`: names may be those of the hosts file,
 * too; that is looked into one at a time. `servers`: other name servers than those of the system.
 */
export function nameLookup(hasHosts: boolean, servers?: readonly string[]): NameLookup {
  const resolver = new Resolver(patience)
  if (servers) resolver.setServers(servers)
  const one = pLimit(1)
  return async name => {
    // of this machine or network: nobody else answers for it
    if (!name.includes('.')) return await lookup(name, { all: true })
    const found = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)])
    const addresses = found.flatMap((result, i) =>
      result.status === 'fulfilled'
        ? result.value.map(address => ({ address, family: i === 0 ? 4 : 6 }))
        : []
    )
    if (addresses.length > 0) return addresses
    const errors = found.flatMap(result =>
      result.status === 'rejected' ? [result.reason as NodeJS.ErrnoException] : []
    )
    const isUnknown = errors.every(({ code = '' }) => unknown.has(code))
    if (!hasHosts || !isUnknown) throw errors[0] ?? new Error(`${name} has no address`)
    return await one(async () => await lookup(name, { all: true }))
  }
}
