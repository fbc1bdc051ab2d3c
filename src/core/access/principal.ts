import type { Access } from './permissions.ts'

/**
 * Who makes a request: taken from the verified credential, never from the request. `user_id` is
 * null for the system.
 */
export interface Principal {
  organization_id: number
  user_id: number | null
  access: Access
  /** The teams of the user, and those below them. */
  team_ids: number[]
  /** The members of these teams, and the user. */
  colleague_ids: number[]
  session_id: number | null
  /** Of a session: milliseconds since 1970 until which it may do what requires a step-up. */
  stepped_up_until?: number
  /** Whether the user of the session has to enroll a second factor before anything else. */
  must_enroll?: boolean
  /** Of the organization, by its name in the IANA database. */
  time_zone: string
  /** The API token that the request was made with. */
  token?: {
    id: number
    /** Whether it must show what it destroys before. */
    require_plan: boolean
    /** Requests per minute; null for those of a user. */
    rate_limit: number | null
  }
}

/** Where a request comes from: an IP address, and a program as it names itself. */
export interface Origin {
  request_id: string
  address: string
  client: string | null
}
