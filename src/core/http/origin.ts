import type { FastifyRequest } from 'fastify'
import type { Origin } from '../access/principal.ts'
import { maxAddress } from '../access/networks.ts'

/** Where a request comes from. A trusted proxy may name anything as the address. */
export const originOf = ({ id, ip, headers }: FastifyRequest): Origin => ({
  request_id: id,
  address: ip.slice(0, maxAddress),
  client: headers['user-agent']?.slice(0, 200) ?? null
})
