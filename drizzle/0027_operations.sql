-- Operations: what one user changed in one step, and can undo as one.
CREATE TABLE "operations" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "operations_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"kind" text NOT NULL,
	"created_by" bigint,
	"session_id" bigint,
	"api_token_id" bigint,
	"request_id" text,
	"undo_of" bigint,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "operations_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "operation_id" bigint;--> statement-breakpoint
ALTER TABLE "operations" ADD CONSTRAINT "operations_undo_of_reference" FOREIGN KEY ("organization_id","undo_of") REFERENCES "public"."operations"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "idx_operations_created_by" ON "operations" USING btree ("organization_id","created_by","id");--> statement-breakpoint
CREATE INDEX "idx_operations_kind" ON "operations" USING btree ("organization_id","kind","id");--> statement-breakpoint
CREATE INDEX "idx_operations_request_id" ON "operations" USING btree ("organization_id","request_id","id");--> statement-breakpoint
CREATE INDEX "idx_operations_created_at" ON "operations" USING btree ("organization_id","created_at","id");--> statement-breakpoint
CREATE UNIQUE INDEX "operations_undo_of_unique" ON "operations" USING btree ("organization_id","undo_of") WHERE undo_of is not null;--> statement-breakpoint
CREATE INDEX "idx_events_operation_id" ON "events" USING btree ("organization_id","operation_id","id") WHERE operation_id is not null;
--> statement-breakpoint
-- As 0022 made it, and with the operation.
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
  operation_id constant bigint := origin ->> 'operation_id';
BEGIN
  IF tg_op = 'INSERT' THEN
    INSERT INTO events (organization_id, type, subject_type, subject_id, actor_id, changed, after, address, request_id, session_id, api_token_id, operation_id)
    SELECT n.organization_id, subject || '.created', subject, n.id, n.created_by, '{}', to_jsonb(n) - hidden,
      address, request_id, session_id, api_token_id, operation_id
    FROM new_rows n;
  ELSIF tg_op = 'DELETE' THEN
    INSERT INTO events (organization_id, type, subject_type, subject_id, changed, before, address, request_id, session_id, api_token_id, operation_id)
    SELECT o.organization_id, subject || '.purged', subject, o.id, '{}', to_jsonb(o) - hidden,
      address, request_id, session_id, api_token_id, operation_id
    FROM old_rows o;
  ELSE
    INSERT INTO events (organization_id, type, subject_type, subject_id, actor_id, changed, before, after, address, request_id, session_id, api_token_id, operation_id)
    SELECT n.organization_id,
      subject || CASE WHEN o.deleted_at IS NULL AND n.deleted_at IS NOT NULL THEN '.deleted'
                      WHEN o.deleted_at IS NOT NULL AND n.deleted_at IS NULL THEN '.restored'
                      ELSE '.updated' END,
      subject, n.id,
      -- the API increments the version and sets the user with every change; a change in psql does neither
      CASE WHEN n.version > o.version THEN n.updated_by END,
      difference.changed, was.value - hidden, became.value - hidden,
      address, request_id, session_id, api_token_id, operation_id
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
CREATE OR REPLACE FUNCTION record_access(organization bigint, type text, subject_type text, subject_id bigint, actor bigint, origin jsonb, details jsonb)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO events (organization_id, type, subject_type, subject_id, actor_id, changed, details, address, request_id, session_id, api_token_id, operation_id)
  VALUES (organization, type, subject_type, subject_id, actor, '{}', details,
    origin ->> 'address', origin ->> 'request_id', (origin ->> 'session_id')::bigint, (origin ->> 'api_token_id')::bigint,
    (origin ->> 'operation_id')::bigint)
$$;
--> statement-breakpoint
-- Events without an operation keep their digest.
CREATE OR REPLACE FUNCTION event_digest(event events) RETURNS bytea LANGUAGE sql STABLE AS $$
  SELECT sha256(CASE WHEN event.operation_id IS NULL THEN record_send(ROW(
    event.id, event.xid, event.organization_id, event.type, event.subject_type, event.subject_id, event.actor_id,
    event.changed, event.before, event.after, event.created_at,
    event.details, event.address, event.request_id, event.session_id, event.api_token_id))
  ELSE record_send(ROW(
    event.id, event.xid, event.organization_id, event.type, event.subject_type, event.subject_id, event.actor_id,
    event.changed, event.before, event.after, event.created_at,
    event.details, event.address, event.request_id, event.session_id, event.api_token_id, event.operation_id)) END)
$$;
--> statement-breakpoint
-- As 0004 made it, but for a record that goes back to where it was, and has been since: it goes there now.
CREATE OR REPLACE FUNCTION record_moves() RETURNS trigger LANGUAGE plpgsql SET enable_nestloop = off SET jit = off AS $$
DECLARE
  subject constant text := tg_argv[0];
  place constant text := tg_argv[1]; -- the column: a stage, or a status
BEGIN
  IF tg_op = 'INSERT' THEN
    INSERT INTO moves (organization_id, subject_type, subject_id, pipeline_id, to_stage, moved_at, actor_id)
    SELECT n.organization_id, subject, n.id, (new_row ->> 'pipeline_id')::bigint, new_row ->> place, n.moved_at, n.created_by
    FROM new_rows n, to_jsonb(n) new_row;
  ELSE
    INSERT INTO moves (organization_id, subject_type, subject_id, pipeline_id, from_stage, to_stage, moved_at, actor_id, seconds)
    SELECT n.organization_id, subject, n.id, (new_row ->> 'pipeline_id')::bigint, old_row ->> place, new_row ->> place, entered,
      CASE WHEN n.version > o.version THEN n.updated_by END, greatest(0, floor(extract(epoch FROM entered - o.moved_at)))
    FROM new_rows n JOIN old_rows o USING (organization_id, id), to_jsonb(n) new_row, to_jsonb(o) old_row,
      LATERAL (SELECT CASE WHEN n.moved_at < o.moved_at THEN clock_timestamp() ELSE n.moved_at END AS entered) now
    WHERE (new_row -> place, new_row -> 'pipeline_id') IS DISTINCT FROM (old_row -> place, old_row -> 'pipeline_id');
  END IF;
  RETURN NULL;
END $$;
