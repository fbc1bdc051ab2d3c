-- Opportunities are sorted by the position of their stage, which each of them has: by a trigger when it comes to a
-- stage, and by another one when stages change their positions. It is derived: that is no change of the record.
ALTER TABLE "opportunities" ADD COLUMN "stage_position" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE OR REPLACE FUNCTION record_events() RETURNS trigger LANGUAGE plpgsql SET TimeZone = 'UTC' SET enable_nestloop = off SET jit = off AS $$
#variable_conflict use_variable
DECLARE
  subject constant text := tg_argv[0];
  -- what follows from other columns, or from other records, is in no event and no reason for one
  derived constant text[] := array['search_text'] || string_to_array(coalesce(tg_argv[2], ''), ',');
  -- nor is the organization, which has a column of its own, and what the table hides
  hidden constant text[] := array['organization_id'] || derived || string_to_array(coalesce(tg_argv[1], ''), ',');
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
        AND key NOT IN ('version', 'updated_at', 'updated_by') AND key <> ALL (derived)
    ) difference
    WHERE n.version <> o.version OR difference.changed <> '{}';
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
DROP PROCEDURE watch_records(regclass, text, text[]);
--> statement-breakpoint
-- Every migration that creates a record table calls this once for it. `hidden`: columns that no event includes;
-- `derived`: others that follow from what is not in the row.
CREATE PROCEDURE watch_records(watched regclass, subject text, hidden text[] DEFAULT '{}', derived text[] DEFAULT '{}') LANGUAGE plpgsql AS $$
DECLARE
  called constant text := format('EXECUTE FUNCTION record_events(%L, %L, %L)', subject, array_to_string(hidden, ','), array_to_string(derived, ','));
BEGIN
  EXECUTE format('CREATE OR REPLACE TRIGGER events_of_insert AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT %s', watched, called);
  EXECUTE format('CREATE OR REPLACE TRIGGER events_of_update AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT %s', watched, called);
  EXECUTE format('CREATE OR REPLACE TRIGGER events_of_delete AFTER DELETE ON %s REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT %s', watched, called);
  EXECUTE format('CREATE OR REPLACE TRIGGER events_of_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_forget()', watched);
END $$;
--> statement-breakpoint
ALTER TABLE opportunities DISABLE TRIGGER USER;
--> statement-breakpoint
UPDATE opportunities o SET stage_position = s.position FROM stages s
WHERE s.organization_id = o.organization_id AND s.pipeline_id = o.pipeline_id AND s.key = o.stage AND s.position <> 0;
--> statement-breakpoint
ALTER TABLE opportunities ENABLE TRIGGER USER;
--> statement-breakpoint
CALL watch_records('opportunities', 'opportunity', '{}', '{stage_position}');
--> statement-breakpoint
DROP TRIGGER status_follows_stage ON opportunities;
--> statement-breakpoint
DROP FUNCTION status_follows_stage;
--> statement-breakpoint
-- As 0009 made it, and with the position.
CREATE FUNCTION follow_stage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  meaning text;
BEGIN
  SELECT kind, position INTO meaning, new.stage_position FROM stages
  WHERE organization_id = new.organization_id AND pipeline_id = new.pipeline_id AND key = new.stage;
  new.stage_position := coalesce(new.stage_position, 0); -- the foreign key refuses an unknown stage
  IF new.deleted_at IS NOT NULL OR new.status = meaning THEN
    RETURN new;
  END IF;
  IF tg_op = 'UPDATE' THEN
    IF old.deleted_at IS NOT NULL THEN
      new.status := meaning;
      new.closed_at := CASE WHEN meaning <> 'open' THEN coalesce(new.closed_at, clock_timestamp()) END;
      new.probability := CASE meaning WHEN 'won' THEN 100 WHEN 'lost' THEN 0 ELSE new.probability END;
      new.lost_reason := CASE meaning WHEN 'lost' THEN new.lost_reason END;
      RETURN new;
    END IF;
  END IF;
  RAISE check_violation USING MESSAGE = format('an opportunity in the stage %s cannot be %s', new.stage, new.status), TABLE = 'opportunities', CONSTRAINT = 'opportunities_status_check';
END $$;
--> statement-breakpoint
CREATE TRIGGER follow_stage BEFORE INSERT OR UPDATE OF pipeline_id, stage, status, deleted_at ON opportunities FOR EACH ROW EXECUTE FUNCTION follow_stage();
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
-- Adds a job of an organization, marked as one: organizations take turns. Of jobs with the same key that have not begun
-- only the last one is kept.
CREATE FUNCTION enqueue_job(name text, organization bigint, payload jsonb, key text, delay interval DEFAULT '0') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM graphile_worker.add_job(name, (payload || jsonb_build_object('organization_id', organization))::json,
    flags => array['organization/' || organization], job_key => key, run_at => now() + delay);
END $$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION rescore_leads_of_contacts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM enqueue_job('rescore_leads', organization_id, jsonb_build_object('contact_ids', ids), NULL)
  FROM (
    SELECT n.organization_id, array_agg(n.id) AS ids FROM new_rows n
    WHERE EXISTS (SELECT FROM scoring_models m WHERE m.organization_id = n.organization_id AND m.status = 'active' AND m.deleted_at IS NULL)
      AND EXISTS (SELECT FROM leads l WHERE l.organization_id = n.organization_id AND l.contact_id = n.id AND l.deleted_at IS NULL)
    GROUP BY n.organization_id
  ) changed;
  RETURN NULL;
END $$;
--> statement-breakpoint
-- When stages change their positions, by whatever release: the first thousand opportunities immediately, the others by a job.
CREATE FUNCTION sort_opportunities() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  organization bigint;
  last bigint;
BEGIN
  FOR organization IN
    SELECT DISTINCT n.organization_id FROM new_rows n JOIN old_rows o USING (organization_id, id) WHERE n.position <> o.position
  LOOP
    last := place_opportunities(organization, 0, 1000);
    IF last IS NOT NULL THEN
      PERFORM enqueue_job('place_opportunities', organization, jsonb_build_object('after', last),
        format('place_opportunities/%s/all', organization));
    END IF;
  END LOOP;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER sort_opportunities AFTER UPDATE ON stages REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sort_opportunities();
--> statement-breakpoint
CREATE INDEX "idx_opportunities_stage_position" ON "opportunities" USING btree ("organization_id","stage_position","id") WHERE "opportunities"."deleted_at" is null;
--> statement-breakpoint
-- New expressions have no statistics until then, and every list would be planned without them.
ANALYZE accounts, activities, campaigns, contacts, leads, opportunities, users;
