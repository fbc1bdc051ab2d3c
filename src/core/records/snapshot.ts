import { Context } from '../access/context.ts'
import type { Connection } from '../db/connections.ts'
import { sql } from '../db/drizzle.ts'
import { send } from '../db/sql.ts'
import { lastPlace, type Place } from './feed.ts'

/** Milliseconds to wait for another process that gives events their positions. */
const lockTimeout = 60_000

/** The lock of `chain_events()`. */
const lock = sql.raw(`'event_sequence'::regclass::oid::bigint`)

/**
 * Runs `work` in a context that reads one state of the database, whatever is written meanwhile, and
 * writes nothing; on a connection of its own, with the rights of `ctx`. With `place`, it gets the
 * place in the feed of exactly that state: it sees what every event up to there did, and nothing of
 * a later one. Errors: those of `work`; as `Context.rows`.
 */
export async function inSnapshot<T>(
  ctx: Context,
  work: (ctx: Context, place: Place | undefined) => Promise<T>,
  withPlace: boolean
): Promise<T> {
  const { database, sequencer } = ctx.services
  const { timeouts } = database
  const answer = timeouts.snapshot + 5_000
  const patient = { ...ctx.services, database: { ...database, timeouts: { ...timeouts, answer } } }
  // what is left for the time in which all others wait for the lock is little then
  if (withPlace) await sequencer.catchUp()
  return (await database.snapshots.begin(
    'isolation level repeatable read read only',
    async reader => {
      const place = withPlace ? await placeOfSnapshot(ctx, reader) : undefined
      return await work(contextOn(reader, ctx, patient), place)
    }
  )) as T
}

/**
 * Has the transaction of `reader`, which has read nothing yet, see a state of which the place in
 * the feed is known, and returns that. The lock is taken before the snapshot, so all that an
 * earlier holder gave a position is in it; all else that is in it gets its position here, and what
 * is not, after the lock. A lock of the session, since taking one of the transaction would take the
 * snapshot first. A process that is killed loses it with its session.
 */
async function placeOfSnapshot(ctx: Context, reader: Connection): Promise<Place> {
  const { sequence } = ctx.services.database
  return await sequence.begin('isolation level repeatable read', async leader => {
    const run = async <Row>(query: ReturnType<typeof sql>) => await send<Row>(leader, query)
    await run(sql`set local lock_timeout = ${sql.raw(String(lockTimeout))}`)
    await run(sql`select pg_advisory_lock(${lock})`)
    try {
      await run(sql`commit and chain`)
      await run(sql`select chain_events(${Number.MAX_SAFE_INTEGER}::bigint)`)
      const place = await lastPlace(contextOn(leader, ctx))
      const [snapshot] = await run<{ id: string }>(sql`select pg_export_snapshot() as id`)
      await send(reader, sql`set transaction snapshot ${sql.raw(`'${snapshot!.id}'`)}`)
      await run(sql`commit and chain`) // if this fails, the place is not one
      return place
    } finally {
      await send(leader, sql`rollback and chain`)
      await send(leader, sql`select pg_advisory_unlock(${lock})`)
    }
  })
}

/** The same caller on the connection of a transaction that was begun elsewhere. */
function contextOn(connection: Connection, ctx: Context, services = ctx.services): Context {
  const end = { isReached: false }
  const transaction = { connection, end, changed: new Set<string>(), locks: [], atCommit: [] }
  return new Context(services, ctx.principal, { origin: ctx.origin, transaction })
}
