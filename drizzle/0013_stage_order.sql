-- Opportunities are sorted by the position of their stage, which each of them has: by a trigger when it comes to a
-- stage, and by a job when stages change their positions. It is no change of the record.
ALTER TABLE "opportunities" ADD COLUMN "stage_position" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE OR REPLACE FUNCTION record_events() RETURNS trigger LANGUAGE plpgsql SET TimeZone = 'UTC' SET enable_nestloop = off SET jit = off AS $$
#variable_conflict use_variable
DECLARE
  subject constant text := tg_argv[0];
  -- the organization, which has a column of its own, the derived column, and those that the table hides
  hidden constant text[] := array['organization_id', 'search_text'] || string_to_array(coalesce(tg_argv[1], ''), ',');
BEGIN
  IF tg_op = 'INSERT' THEN
    INSERT INTO events (organization_id, type, subject_type, subject_id, actor_id, changed, after)
    SELECT n.organization_id, subject || '.created', subject, n.id, n.created_by, '{}', to_jsonb(n) - hidden
    FROM new_rows n;
  ELSIF tg_op = 'DELETE' THEN
    INSERT INTO events (organization_id, type, subject_type, subject_id, changed, before)
    SELECT o.organization_id, subject || '.purged', subject, o.id, '{}', to_jsonb(o) - hidden
    FROM old_rows o;
  ELSE
    INSERT INTO events (organization_id, type, subject_type, subject_id, actor_id, changed, before, after)
    SELECT n.organization_id,
      subject || CASE WHEN o.deleted_at IS NULL AND n.deleted_at IS NOT NULL THEN '.deleted'
                      WHEN o.deleted_at IS NOT NULL AND n.deleted_at IS NULL THEN '.restored'
                      ELSE '.updated' END,
      subject, n.id,
      -- the API increments the version and sets the user with every change; a change in psql does neither
      CASE WHEN n.version > o.version THEN n.updated_by END,
      difference.changed, was.value - hidden, became.value - hidden
    FROM new_rows n
    JOIN old_rows o USING (organization_id, id),
    LATERAL (SELECT to_jsonb(o) AS value OFFSET 0) was,
    LATERAL (SELECT to_jsonb(n) AS value OFFSET 0) became,
    LATERAL (
      SELECT coalesce(array_agg(key ORDER BY key), '{}') AS changed
      FROM jsonb_each(became.value) AS field (key, value)
      WHERE field.value IS DISTINCT FROM was.value -> key
        AND key NOT IN ('version', 'updated_at', 'updated_by', 'search_text', 'stage_position')
    ) difference
    WHERE n.version <> o.version OR difference.changed <> '{}';
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
DROP TRIGGER events_of_insert ON opportunities;
--> statement-breakpoint
DROP TRIGGER events_of_update ON opportunities;
--> statement-breakpoint
DROP TRIGGER events_of_delete ON opportunities;
--> statement-breakpoint
DROP TRIGGER events_of_truncate ON opportunities;
--> statement-breakpoint
CALL watch_records('opportunities', 'opportunity', '{stage_position}');
--> statement-breakpoint
CREATE FUNCTION place_in_stage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT position INTO new.stage_position FROM stages
  WHERE organization_id = new.organization_id AND pipeline_id = new.pipeline_id AND key = new.stage;
  new.stage_position := coalesce(new.stage_position, 0); -- the foreign key refuses an unknown stage
  RETURN new;
END $$;
--> statement-breakpoint
CREATE TRIGGER place_in_stage BEFORE INSERT OR UPDATE OF pipeline_id, stage ON opportunities FOR EACH ROW EXECUTE FUNCTION place_in_stage();
--> statement-breakpoint
-- Places the next opportunities after an ID, deleted ones too. Returns the last ID, or null if there are no more.
CREATE FUNCTION place_opportunities(organization bigint, after bigint, most int) RETURNS bigint LANGUAGE sql AS $$
  WITH batch AS (
    SELECT id FROM opportunities WHERE organization_id = organization AND id > after ORDER BY id LIMIT most
  ), placed AS (
    UPDATE opportunities o SET stage_position = s.position
    FROM stages s
    WHERE o.organization_id = organization AND o.id IN (SELECT id FROM batch)
      AND s.organization_id = organization AND s.pipeline_id = o.pipeline_id AND s.key = o.stage
      AND o.stage_position <> s.position
  )
  SELECT CASE WHEN count(*) = most THEN max(id) END FROM batch
$$;
--> statement-breakpoint
UPDATE opportunities o SET stage_position = s.position FROM stages s
WHERE s.organization_id = o.organization_id AND s.pipeline_id = o.pipeline_id AND s.key = o.stage AND s.position <> 0;
--> statement-breakpoint
CREATE INDEX "idx_opportunities_stage_position" ON "opportunities" USING btree ("organization_id","stage_position","id") WHERE "opportunities"."deleted_at" is null;
