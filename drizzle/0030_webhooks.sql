CREATE TABLE "deliveries" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "deliveries_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"webhook_id" bigint NOT NULL,
	"event_id" bigint,
	"position" bigint,
	"type" text NOT NULL,
	"subject_type" text NOT NULL,
	"subject_id" bigint NOT NULL,
	"is_replay" boolean DEFAULT false NOT NULL,
	"status" text DEFAULT 'pending' NOT NULL,
	"payload" text NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"due_at" timestamp(3) with time zone,
	"leased_until" timestamp(3) with time zone,
	"host" text,
	"last_attempt_at" timestamp(3) with time zone,
	"duration_ms" integer,
	"response_status" integer,
	"response_body" text,
	"error" text,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"ended_at" timestamp(3) with time zone,
	CONSTRAINT "deliveries_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
CREATE TABLE "webhooks" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "webhooks_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"url" varchar(2000) NOT NULL,
	"host" varchar(255) NOT NULL,
	"description" varchar(500),
	"types" varchar(2000),
	"filter" varchar(4000),
	"filter_on" varchar(10) DEFAULT 'change' NOT NULL,
	"fields" text[],
	"format" varchar(10) DEFAULT 'full' NOT NULL,
	"author_id" bigint NOT NULL,
	"is_active" boolean DEFAULT true NOT NULL,
	"paused_at" timestamp(3) with time zone,
	"paused_reason" varchar(10),
	"cursor" varchar(40) DEFAULT '0-' NOT NULL,
	"failures" integer DEFAULT 0 NOT NULL,
	"failing_since" timestamp(3) with time zone,
	"encrypted_secret" text NOT NULL,
	"previous_secret" text,
	"previous_until" timestamp(3) with time zone,
	CONSTRAINT "webhooks_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
ALTER TABLE "deliveries" ADD CONSTRAINT "deliveries_webhook_id_reference" FOREIGN KEY ("organization_id","webhook_id") REFERENCES "public"."webhooks"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "webhooks" ADD CONSTRAINT "webhooks_author_id_reference" FOREIGN KEY ("organization_id","author_id") REFERENCES "public"."users"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "idx_deliveries_webhook" ON "deliveries" USING btree ("organization_id","webhook_id","id");--> statement-breakpoint
CREATE INDEX "idx_deliveries_status" ON "deliveries" USING btree ("organization_id","webhook_id","status","id");--> statement-breakpoint
CREATE INDEX "idx_deliveries_waiting" ON "deliveries" USING btree ("organization_id","webhook_id","is_replay","subject_type","subject_id","id") WHERE status = 'pending';--> statement-breakpoint
CREATE UNIQUE INDEX "deliveries_turn_unique" ON "deliveries" USING btree ("organization_id","webhook_id","is_replay","subject_type","subject_id") WHERE due_at is not null;--> statement-breakpoint
CREATE INDEX "idx_deliveries_due" ON "deliveries" USING btree ("organization_id","webhook_id","due_at") WHERE due_at is not null;--> statement-breakpoint
CREATE INDEX "idx_deliveries_leased" ON "deliveries" USING btree ("host") WHERE leased_until is not null;--> statement-breakpoint
CREATE INDEX "idx_deliveries_ended_at" ON "deliveries" USING btree ("ended_at") WHERE ended_at is not null;--> statement-breakpoint
CREATE INDEX "idx_webhooks_deleted" ON "webhooks" USING btree ("organization_id","id") WHERE "webhooks"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_webhooks_author_id" ON "webhooks" USING btree ("organization_id","author_id","id") WHERE "webhooks"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_webhooks_is_active" ON "webhooks" USING btree ("organization_id","is_active","id") WHERE "webhooks"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_webhooks_created_at" ON "webhooks" USING btree ("organization_id","created_at","id") WHERE "webhooks"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_webhooks_updated_at" ON "webhooks" USING btree ("organization_id","updated_at","id") WHERE "webhooks"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_webhooks_author" ON "webhooks" USING btree ("organization_id","author_id");--> statement-breakpoint
CREATE INDEX "idx_webhooks_active" ON "webhooks" USING btree ("organization_id","id") WHERE is_active and deleted_at is null;
--> statement-breakpoint
-- Of each of these records, makes the first delivery that waits due, unless another one is. Whoever calls it has locked
-- the webhook.
CREATE FUNCTION deliver_next(organization bigint, webhook bigint, replay boolean, types text[], ids bigint[])
RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
  UPDATE deliveries d SET due_at = now()
  FROM (SELECT DISTINCT type, id FROM unnest(types, ids) AS record (type, id)) record,
    LATERAL (SELECT f.id FROM deliveries f
      WHERE f.organization_id = organization AND f.webhook_id = webhook AND f.is_replay = replay
        AND f.subject_type = record.type AND f.subject_id = record.id AND f.status = 'pending'
      ORDER BY f.id LIMIT 1) first
  WHERE d.organization_id = organization AND d.id = first.id
    AND NOT EXISTS (SELECT FROM deliveries other
      WHERE other.organization_id = organization AND other.webhook_id = webhook AND other.is_replay = replay
        AND other.subject_type = record.type AND other.subject_id = record.id AND other.due_at IS NOT NULL)
$$;
--> statement-breakpoint
-- Adds deliveries to a webhook, in the order of their positions. With `place`, only if that is still its place in the
-- feed, which becomes `next_place`. Returns whether it did.
CREATE FUNCTION add_deliveries(organization bigint, webhook bigint, place text, next_place text, replay boolean, entries jsonb)
RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  types text[];
  ids bigint[];
BEGIN
  IF place IS NULL THEN
    PERFORM FROM webhooks w WHERE w.organization_id = organization AND w.id = webhook AND w.deleted_at IS NULL
      FOR NO KEY UPDATE;
  ELSE
    UPDATE webhooks w SET cursor = next_place
    WHERE w.organization_id = organization AND w.id = webhook AND w.deleted_at IS NULL AND w.is_active
      AND w.cursor = place;
  END IF;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  INSERT INTO deliveries (organization_id, webhook_id, is_replay, event_id, position, type, subject_type, subject_id, payload)
  SELECT organization, webhook, replay, e.event_id, e.position, e.type, e.subject_type, e.subject_id, e.payload
  FROM jsonb_to_recordset(entries) AS e (event_id bigint, position bigint, type text, subject_type text,
    subject_id bigint, payload text)
  ORDER BY e.position;
  SELECT array_agg(e.subject_type), array_agg(e.subject_id) INTO types, ids
  FROM jsonb_to_recordset(entries) AS e (subject_type text, subject_id bigint);
  PERFORM deliver_next(organization, webhook, replay, types, ids);
  RETURN true;
END $$;
--> statement-breakpoint
-- Notes what came of an attempt, unless another process has taken it over or it was canceled meanwhile. `next_in`: until
-- the next one; null: the delivery has ended, and the next one about the record is due. One that is canceled was not
-- sent. Returns how its webhook fares.
CREATE FUNCTION end_attempt(organization bigint, delivery bigint, lease timestamptz, outcome jsonb, next_in interval)
RETURNS TABLE (failures integer, failing_since timestamptz) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
  sent deliveries;
  succeeded constant boolean := outcome ->> 'status' = 'succeeded';
  is_attempt constant boolean := outcome ->> 'status' <> 'cancelled';
BEGIN
  SELECT * INTO sent FROM deliveries d WHERE d.organization_id = organization AND d.id = delivery;
  PERFORM FROM webhooks w WHERE w.organization_id = organization AND w.id = sent.webhook_id FOR NO KEY UPDATE;
  UPDATE deliveries d SET
    attempts = d.attempts + is_attempt::integer,
    status = outcome ->> 'status',
    payload = coalesce(outcome ->> 'payload', d.payload),
    last_attempt_at = CASE WHEN is_attempt THEN now() ELSE d.last_attempt_at END,
    duration_ms = CASE WHEN is_attempt THEN (outcome ->> 'duration_ms')::integer ELSE d.duration_ms END,
    response_status = CASE WHEN is_attempt THEN (outcome ->> 'response_status')::integer ELSE d.response_status END,
    response_body = CASE WHEN is_attempt THEN outcome ->> 'response_body' ELSE d.response_body END,
    error = outcome ->> 'error',
    leased_until = NULL,
    due_at = now() + next_in,
    ended_at = CASE WHEN next_in IS NULL THEN now() END
  WHERE d.organization_id = organization AND d.id = delivery AND d.status = 'pending' AND d.leased_until = lease;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  IF sent.event_id IS NOT NULL AND is_attempt THEN -- a test says nothing about the webhook
    UPDATE webhooks w SET
      failures = CASE WHEN succeeded THEN 0 ELSE w.failures + 1 END,
      failing_since = CASE WHEN succeeded THEN NULL ELSE coalesce(w.failing_since, now()) END
    WHERE w.organization_id = organization AND w.id = sent.webhook_id AND NOT (succeeded AND w.failures = 0);
  END IF;
  IF next_in IS NULL THEN
    PERFORM deliver_next(organization, sent.webhook_id, sent.is_replay, array[sent.subject_type], array[sent.subject_id]);
  END IF;
  RETURN QUERY SELECT w.failures, w.failing_since FROM webhooks w
    WHERE w.organization_id = organization AND w.id = sent.webhook_id;
END $$;
--> statement-breakpoint
-- Has a delivery that failed or was canceled be tried anew, and one that waits for its next attempt at once. Returns
-- whether it did.
CREATE FUNCTION retry_delivery(organization bigint, delivery bigint)
RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  found_one deliveries;
BEGIN
  SELECT * INTO found_one FROM deliveries d WHERE d.organization_id = organization AND d.id = delivery;
  PERFORM FROM webhooks w
  WHERE w.organization_id = organization AND w.id = found_one.webhook_id AND w.deleted_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  UPDATE deliveries d SET due_at = now()
  WHERE d.organization_id = organization AND d.id = delivery AND d.due_at > now() AND d.leased_until IS NULL;
  IF FOUND THEN
    RETURN true;
  END IF;
  UPDATE deliveries d SET status = 'pending', attempts = 0, ended_at = NULL
  WHERE d.organization_id = organization AND d.id = delivery AND d.status IN ('failed', 'cancelled');
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM deliver_next(organization, found_one.webhook_id, found_one.is_replay, array[found_one.subject_type],
    array[found_one.subject_id]);
  RETURN true;
END $$;
--> statement-breakpoint
CALL watch_records('webhooks', 'webhook', '{host,encrypted_secret,previous_secret}', '{cursor,failures,failing_since}');
--> statement-breakpoint
CALL measure_indexed_keys();
