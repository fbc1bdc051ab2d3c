-- Each table names the columns that its events omit where its triggers are created, instead of the function naming
-- them for all tables: a column that is secret in one table may be plain in another. A test compares it with the code.
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
      WHERE field.value IS DISTINCT FROM was.value -> key AND key NOT IN ('version', 'updated_at', 'updated_by', 'search_text')
    ) difference;
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
DROP PROCEDURE watch_records(regclass, text);
--> statement-breakpoint
-- Every migration that creates a record table calls this once for it. `hidden`: columns that no event includes.
CREATE PROCEDURE watch_records(watched regclass, subject text, hidden text[] DEFAULT '{}') LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER events_of_insert AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_events(%L, %L)', watched, subject, array_to_string(hidden, ','));
  EXECUTE format('CREATE TRIGGER events_of_update AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_events(%L, %L)', watched, subject, array_to_string(hidden, ','));
  EXECUTE format('CREATE TRIGGER events_of_delete AFTER DELETE ON %s REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION record_events(%L, %L)', watched, subject, array_to_string(hidden, ','));
  EXECUTE format('CREATE TRIGGER events_of_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_forget()', watched);
END $$;
--> statement-breakpoint
DROP TRIGGER events_of_insert ON users;
--> statement-breakpoint
DROP TRIGGER events_of_update ON users;
--> statement-breakpoint
DROP TRIGGER events_of_delete ON users;
--> statement-breakpoint
DROP TRIGGER events_of_truncate ON users;
--> statement-breakpoint
CALL watch_records('users', 'user', '{password_hash}');
