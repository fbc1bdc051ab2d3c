import { domainToASCII } from 'node:url'

/** A dot-atom of RFC 5322, also with letters of other scripts (RFC 6531). */
const localPart =
  /^[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+(\.[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+)*$/u
const domainText = /^[\p{L}\p{M}\p{N}.。-]+$/u
const label = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

/**
 * Whether a text is an email address, whose domain may be an internationalized one: at most 64
 * octets before the `@`, 63 in each label of the ASCII form of the domain (RFC 5321 §4.5.3.1, RFC
 * 5890 §2.3.1).
 */
export function isEmail(text: string): boolean {
  const at = text.lastIndexOf('@')
  const [local, domain] = [text.slice(0, at), text.slice(at + 1)]
  if (at < 0 || Buffer.byteLength(local) > 64 || !localPart.test(local)) return false
  if (!domainText.test(domain)) return false
  const labels = domainToASCII(domain).split('.')
  return labels.length > 1 && labels.every(one => label.test(one))
}
