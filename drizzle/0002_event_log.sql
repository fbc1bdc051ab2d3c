-- The event log writes itself: whoever changes a record, the API, an import or a person in psql, leaves a row in `events`
-- in the same transaction. Triggers are per statement, so that a thousand rows cost one more insert.
CREATE FUNCTION record_events() RETURNS trigger LANGUAGE plpgsql SET TimeZone = 'UTC' AS $$
DECLARE
  subject constant text := tg_argv[0];
  -- what is never told: secrets, the tenant (it has a column of its own), and what is derived
  untold constant text[] := array['organization_id', 'password_hash', 'search_text'];
BEGIN
  IF tg_op = 'INSERT' THEN
    INSERT INTO events (organization_id, type, subject_type, subject_id, actor_id, changed, after)
    SELECT n.organization_id, subject || '.created', subject, n.id, n.created_by, '{}', to_jsonb(n) - untold
    FROM new_rows n;
  ELSIF tg_op = 'DELETE' THEN
    INSERT INTO events (organization_id, type, subject_type, subject_id, changed, before)
    SELECT o.organization_id, subject || '.purged', subject, o.id, '{}', to_jsonb(o) - untold
    FROM old_rows o;
  ELSE
    INSERT INTO events (organization_id, type, subject_type, subject_id, actor_id, changed, before, after)
    SELECT n.organization_id,
      subject || CASE WHEN o.deleted_at IS NULL AND n.deleted_at IS NOT NULL THEN '.deleted'
                      WHEN o.deleted_at IS NOT NULL AND n.deleted_at IS NULL THEN '.restored'
                      ELSE '.updated' END,
      subject, n.id,
      -- the API raises the version with every change and says who made it; somebody in psql does neither
      CASE WHEN n.version > o.version THEN n.updated_by END,
      difference.changed, was.value - untold, became.value - untold
    FROM new_rows n
    JOIN old_rows o USING (organization_id, id),
    LATERAL (SELECT to_jsonb(o) AS value) was,
    LATERAL (SELECT to_jsonb(n) AS value) became,
    LATERAL (
      SELECT coalesce(array_agg(key ORDER BY key), '{}') AS changed
      FROM jsonb_each(became.value) AS field (key, value)
      WHERE field.value IS DISTINCT FROM was.value -> key AND key NOT IN ('version', 'updated_at', 'updated_by', 'search_text')
    ) difference;
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
-- What has happened has happened: the log is added to and never changed, and a truncation, which no row trigger sees, is refused.
CREATE FUNCTION refuse_to_forget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: the event log would not know of it', tg_op, tg_table_name;
END $$;
--> statement-breakpoint
CREATE TRIGGER events_are_final BEFORE UPDATE OR DELETE OR TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_forget();
--> statement-breakpoint
-- Every migration that makes a record table calls this once for it.
CREATE PROCEDURE watch_records(watched regclass, subject text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER events_of_insert AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_events(%L)', watched, subject);
  EXECUTE format('CREATE TRIGGER events_of_update AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_events(%L)', watched, subject);
  EXECUTE format('CREATE TRIGGER events_of_delete AFTER DELETE ON %s REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION record_events(%L)', watched, subject);
  EXECUTE format('CREATE TRIGGER events_of_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_forget()', watched);
END $$;
--> statement-breakpoint
CALL watch_records('accounts', 'account');
--> statement-breakpoint
CALL watch_records('contacts', 'contact');
--> statement-breakpoint
CALL watch_records('leads', 'lead');
--> statement-breakpoint
CALL watch_records('opportunities', 'opportunity');
--> statement-breakpoint
CALL watch_records('users', 'user');
