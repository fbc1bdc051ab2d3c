import type { Context } from '../../../core/access/context.ts'
import { notFound } from '../../../core/errors.ts'
import { recordAccess } from '../../../core/records/events.ts'
import { endOpenSessions, openSessions, type WhichSessions } from './queries.ts'

/** A session as its user sees it. */
interface SessionInfo {
  id: number
  created_at: string
  last_used_at: string
  expires_at: string
  address: string | null
  client: string | null
  is_current: boolean
}

/** The open sessions of a user, the last used first. */
export async function sessionsOf(ctx: Context, user_id: number): Promise<SessionInfo[]> {
  const rows = await ctx.read<Omit<SessionInfo, 'is_current'>>(openSessions(user_id))
  return rows.map(session => ({ ...session, is_current: session.id === ctx.principal.session_id }))
}

/**
 * Ends open sessions of a user: from the next request on, their tokens are refused. Returns how
 * many there were.
 */
export async function endSessions(
  ctx: Context,
  user_id: number,
  which: WhichSessions = {}
): Promise<number> {
  return await ctx.transaction(async ctx => {
    const ended = await ctx.write<{ id: number }>([], endOpenSessions(user_id, which))
    for (const { id } of ended) await ctx.invalidate(`session/${id}`)
    const session_ids = ended.map(({ id }) => id)
    if (ended.length > 0)
      await recordAccess(ctx, 'session.ended', { session_ids }, { type: 'user', id: user_id })
    return ended.length
  })
}

/** Ends one of the sessions of a user. Errors: 404. */
export async function endSession(ctx: Context, user_id: number, id: number): Promise<void> {
  if ((await endSessions(ctx, user_id, { only: id })) === 0) throw notFound('session')
}
