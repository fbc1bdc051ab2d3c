import ipaddr from 'ipaddr.js'

/** Characters of the longest IP address. */
export const maxAddress = 45

/**
 * What the client at an IP address is counted as. That is the address itself; of an IPv6 address
 * its /64, since a client with one usually has all of them; an IPv4 address mapped to IPv6 is that
 * IPv4 address. What is no address (a trusted proxy may name anything) stays as it is, shortened.
 */
export function networkOf(address: string | undefined): string {
  if (address === undefined) return ''
  if (!ipaddr.isValid(address)) return address.slice(0, maxAddress)
  const ip = ipaddr.process(address)
  if (ip instanceof ipaddr.IPv4) return ip.toString()
  const [a, b, c, d] = ip.parts.map(part => part.toString(16))
  return `${a}:${b}:${c}:${d}::/64`
}

const parsed = (network: string) =>
  network.includes('/')
    ? ipaddr.parseCIDR(network)
    : ([ipaddr.process(network), network.includes(':') ? 128 : 32] as const)

/** Whether a text is an IP address, or a range of them in CIDR notation. */
export function isNetwork(text: string): boolean {
  try {
    parsed(text)
    return true
  } catch {
    return false
  }
}

/** Whether an address is in one of some networks, which are valid. */
export function isWithin(address: string, networks: readonly string[]): boolean {
  if (!ipaddr.isValid(address)) return false
  const ip = ipaddr.process(address)
  return networks.some(network => {
    const [range, bits] = parsed(network)
    return range.kind() === ip.kind() && ip.match(range, bits)
  })
}
