-- The audit log: events say by which request and credential, accesses are events, too, and a chain of hashes shows that
-- none was changed or removed.
CREATE TABLE "event_chain" (
	"organization_id" bigint NOT NULL,
	"position" bigint NOT NULL,
	"event_id" bigint NOT NULL,
	"digest" "bytea" NOT NULL,
	"hash" "bytea" NOT NULL,
	CONSTRAINT "event_chain_key" PRIMARY KEY("organization_id","position")
);
--> statement-breakpoint
CREATE TABLE "event_sequence" (
	"snapshot" "pg_snapshot" NOT NULL
);
--> statement-breakpoint
ALTER TABLE "events" ALTER COLUMN "type" SET DATA TYPE text;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "details" jsonb;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "address" text;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "request_id" text;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "session_id" bigint;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "api_token_id" bigint;--> statement-breakpoint
CREATE UNIQUE INDEX "event_chain_event_unique" ON "event_chain" USING btree ("organization_id","event_id");--> statement-breakpoint
CREATE INDEX "idx_events_xid" ON "events" USING btree ("xid");--> statement-breakpoint
CREATE INDEX "idx_events_created_at" ON "events" USING brin ("created_at");--> statement-breakpoint
CREATE INDEX "idx_events_actor_id" ON "events" USING btree ("organization_id","actor_id","id");--> statement-breakpoint
CREATE INDEX "idx_events_type" ON "events" USING btree ("organization_id","type","id");--> statement-breakpoint
CREATE INDEX "idx_events_request_id" ON "events" USING btree ("organization_id","request_id","id");--> statement-breakpoint
CREATE INDEX "idx_events_address" ON "events" USING btree ("organization_id","address","id") WHERE details is not null;--> statement-breakpoint
CREATE INDEX "idx_events_api_token_id" ON "events" USING btree ("organization_id","api_token_id","id") WHERE api_token_id is not null;--> statement-breakpoint
ALTER TABLE "events" DROP CONSTRAINT "events_key";--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_key" PRIMARY KEY("organization_id","id");--> statement-breakpoint
-- Notes the origin of a write for its events, until the end of the transaction, and returns its user.
CREATE FUNCTION acting(actor bigint, origin text) RETURNS bigint LANGUAGE sql AS $$
  SELECT CASE WHEN set_config('smartx.origin', coalesce(origin, ''), true) IS NOT NULL THEN actor END
$$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION record_events() RETURNS trigger LANGUAGE plpgsql SET TimeZone = 'UTC' SET enable_nestloop = off SET jit = off AS $$
#variable_conflict use_variable
DECLARE
  subject constant text := tg_argv[0];
  -- what follows from other columns, or from other records, is in no event and no reason for one
  derived constant text[] := array['search_text'] || string_to_array(coalesce(tg_argv[2], ''), ',');
  -- nor is the organization, which has a column of its own, and what the table hides
  hidden constant text[] := array['organization_id'] || derived || string_to_array(coalesce(tg_argv[1], ''), ',');
  origin constant jsonb := nullif(current_setting('smartx.origin', true), '');
  address constant text := origin ->> 'address';
  request_id constant text := origin ->> 'request_id';
  session_id constant bigint := origin ->> 'session_id';
  api_token_id constant bigint := origin ->> 'api_token_id';
BEGIN
  IF tg_op = 'INSERT' THEN
    INSERT INTO events (organization_id, type, subject_type, subject_id, actor_id, changed, after, address, request_id, session_id, api_token_id)
    SELECT n.organization_id, subject || '.created', subject, n.id, n.created_by, '{}', to_jsonb(n) - hidden,
      address, request_id, session_id, api_token_id
    FROM new_rows n;
  ELSIF tg_op = 'DELETE' THEN
    INSERT INTO events (organization_id, type, subject_type, subject_id, changed, before, address, request_id, session_id, api_token_id)
    SELECT o.organization_id, subject || '.purged', subject, o.id, '{}', to_jsonb(o) - hidden,
      address, request_id, session_id, api_token_id
    FROM old_rows o;
  ELSE
    INSERT INTO events (organization_id, type, subject_type, subject_id, actor_id, changed, before, after, address, request_id, session_id, api_token_id)
    SELECT n.organization_id,
      subject || CASE WHEN o.deleted_at IS NULL AND n.deleted_at IS NOT NULL THEN '.deleted'
                      WHEN o.deleted_at IS NOT NULL AND n.deleted_at IS NULL THEN '.restored'
                      ELSE '.updated' END,
      subject, n.id,
      -- the API increments the version and sets the user with every change; a change in psql does neither
      CASE WHEN n.version > o.version THEN n.updated_by END,
      difference.changed, was.value - hidden, became.value - hidden,
      address, request_id, session_id, api_token_id
    FROM new_rows n
    JOIN old_rows o USING (organization_id, id),
    LATERAL (SELECT to_jsonb(o) AS value OFFSET 0) was,
    LATERAL (SELECT to_jsonb(n) AS value OFFSET 0) became,
    LATERAL (
      SELECT coalesce(array_agg(key ORDER BY key), '{}') AS changed
      FROM jsonb_each(became.value) AS field (key, value)
      WHERE field.value IS DISTINCT FROM was.value -> key
        AND key NOT IN ('version', 'updated_at', 'updated_by') AND key <> ALL (derived)
    ) difference
    WHERE n.version <> o.version OR difference.changed <> '{}';
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
-- Records what is no change of a record: a login, a refusal, an export. `origin`: as for `acting`.
CREATE FUNCTION record_access(organization bigint, type text, subject_type text, subject_id bigint, actor bigint, origin jsonb, details jsonb)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO events (organization_id, type, subject_type, subject_id, actor_id, changed, details, address, request_id, session_id, api_token_id)
  VALUES (organization, type, subject_type, subject_id, actor, '{}', details,
    origin ->> 'address', origin ->> 'request_id', (origin ->> 'session_id')::bigint, (origin ->> 'api_token_id')::bigint)
$$;
--> statement-breakpoint
-- The digest of all that an event says, in the binary form, which no setting changes. A migration that adds a column
-- replaces this: events without a value in it keep their digest.
CREATE FUNCTION event_digest(event events) RETURNS bytea LANGUAGE sql STABLE AS $$
  SELECT sha256(record_send(ROW(
    event.id, event.xid, event.organization_id, event.type, event.subject_type, event.subject_id, event.actor_id,
    event.changed, event.before, event.after, event.created_at,
    event.details, event.address, event.request_id, event.session_id, event.api_token_id)))
$$;
--> statement-breakpoint
CREATE FUNCTION next_hash(hash bytea, first bytea, digest bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
  SELECT sha256(coalesce(hash, first) || digest)
$$;
--> statement-breakpoint
-- The hashes of a chain that continues after `first`: `chained(first, digest) OVER (ORDER BY …)`.
CREATE AGGREGATE chained(first bytea, digest bytea) (SFUNC = next_hash, STYPE = bytea);
--> statement-breakpoint
-- Adds up to `most` of the events to the chain that the snapshot of last time did not see, and returns how many; tells those
-- who listen to `events` of which organizations. None is missed: what is committed later is not in this snapshot either, and
-- the snapshot is kept until all that it sees is in the chain. An event comes after the earlier ones of its record, whose IDs
-- are lower, since each transaction had locked the record. One process at a time.
CREATE FUNCTION chain_events(most bigint DEFAULT 10000) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  seen pg_snapshot;
  latest pg_snapshot;
  is_restored boolean;
  added bigint;
  organizations bigint[];
BEGIN
  PERFORM pg_advisory_xact_lock('event_sequence'::regclass::oid::bigint);
  SELECT snapshot INTO seen FROM event_sequence;
  -- transactions count anew after a restore into another cluster: the numbers of before mean nothing
  is_restored := pg_snapshot_xmax(seen) > pg_snapshot_xmax(pg_current_snapshot());
  IF is_restored THEN seen := '1:1:'; END IF;
  WITH unseen AS (
    SELECT e.organization_id, e.id, event_digest(e) AS digest
    FROM events e
    WHERE (e.xid >= pg_snapshot_xmax(seen) OR e.xid = ANY (ARRAY(SELECT pg_snapshot_xip(seen))))
      AND (is_restored OR e.xid < pg_snapshot_xmax(pg_current_snapshot()))
      AND NOT EXISTS (SELECT FROM event_chain c WHERE c.organization_id = e.organization_id AND c.event_id = e.id)
    ORDER BY e.id LIMIT most
  ), ends AS (
    SELECT o.organization_id, coalesce(c.position, 0) AS position, coalesce(c.hash, '') AS hash
    FROM (SELECT DISTINCT organization_id FROM unseen) o
    LEFT JOIN LATERAL (
      SELECT position, hash FROM event_chain c WHERE c.organization_id = o.organization_id ORDER BY position DESC LIMIT 1
    ) c ON true
  ), chain AS (
    INSERT INTO event_chain (organization_id, position, event_id, digest, hash)
    SELECT organization_id, e.position + row_number() OVER of_organization, u.id, digest,
      chained(e.hash, digest) OVER of_organization
    FROM unseen u JOIN ends e USING (organization_id)
    WINDOW of_organization AS (PARTITION BY organization_id ORDER BY u.id)
    RETURNING organization_id
  )
  SELECT pg_current_snapshot(), count(*), array_agg(DISTINCT organization_id) INTO latest, added, organizations FROM chain;
  PERFORM pg_notify('events', organization::text) FROM unnest(organizations) AS organization;
  -- nothing is written if there was nothing: this runs every second
  IF added < most AND (added > 0 OR is_restored) THEN
    UPDATE event_sequence SET snapshot = latest;
  END IF;
  RETURN added;
END $$;
--> statement-breakpoint
INSERT INTO event_sequence VALUES ('1:1:');
--> statement-breakpoint
SELECT chain_events();
