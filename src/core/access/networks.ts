import ipaddr from 'ipaddr.js'
import { isIP } from 'node:net'

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

/** The ranges that a text means, with the number of their leading bits. */
const parsed = (network: string): [ipaddr.IPv4 | ipaddr.IPv6, number] => {
  const [address = '', bits] = network.split('/')
  const ip = ipaddr.process(address)
  return [ip, bits === undefined ? bitsOf(ip) : Number(bits)]
}

const bitsOf = (ip: ipaddr.IPv4 | ipaddr.IPv6) => (ip.kind() === 'ipv4' ? 32 : 128)

/**
 * Whether a text is an IP address, or a range of them in CIDR notation, whose other bits are zero:
 * nobody means all addresses by `10.1.1.1/0`, nor an octal number by `010.0.0.1`.
 */
export function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/')
  const isPlain = isIP(address) !== 0 && rest.length === 0 && !/^::ffff:/i.test(address)
  if (!isPlain || bits === undefined) return isPlain
  const [ip, length] = parsed(text)
  if (!/^\d{1,3}$/.test(bits) || length > bitsOf(ip)) return false
  const all = ip
    .toByteArray()
    .map(byte => byte.toString(2).padStart(8, '0'))
    .join('')
  return !all.slice(length).includes('1')
}

/**
 * Whether an IP address is that of a server in the public internet: none of a private or local
 * network, and none that stands for an address in another one (NAT64, 6to4, Teredo).
 */
export const isPublic = (address: string): boolean =>
  ipaddr.isValid(address) && ipaddr.process(address).range() === 'unicast'

/** Whether an address is in one of some networks, which are valid. */
export function isWithin(address: string, networks: readonly string[]): boolean {
  if (!ipaddr.isValid(address)) return false
  const ip = ipaddr.process(address)
  return networks.some(network => {
    const [range, bits] = parsed(network)
    return range.kind() === ip.kind() && ip.match(range, bits)
  })
}
