-- The trigger of the event log as 0002 made it, but for three things: each row is turned into JSON once (OFFSET 0 keeps Postgres from
-- putting the expression wherever its value is wanted), a record may have a column called `subject` (activities have), and
-- the plan, which a session keeps, must be as good for a thousand rows as for one. Without nested loops it is; where Postgres counts a
-- loop that it cannot avoid as costly (before 18), it must not think of compiling it.
CREATE OR REPLACE FUNCTION record_events() RETURNS trigger LANGUAGE plpgsql SET TimeZone = 'UTC' SET enable_nestloop = off SET jit = off AS $$
#variable_conflict use_variable
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
-- The records of sales write their events, as all do.
CALL watch_records('activities', 'activity');
--> statement-breakpoint
CALL watch_records('assignment_rules', 'assignment_rule');
--> statement-breakpoint
CALL watch_records('campaigns', 'campaign');
--> statement-breakpoint
CALL watch_records('campaign_members', 'campaign_member');
--> statement-breakpoint
CALL watch_records('conversions', 'conversion');
--> statement-breakpoint
CALL watch_records('pipelines', 'pipeline');
--> statement-breakpoint
CALL watch_records('scoring_models', 'scoring_model');
--> statement-breakpoint
CALL watch_records('stages', 'stage');
--> statement-breakpoint
CALL watch_records('tags', 'tag');
--> statement-breakpoint
CALL watch_records('teams', 'team');
--> statement-breakpoint
CALL watch_records('territories', 'territory');
--> statement-breakpoint
-- An array has no foreign keys: this is theirs. Tags that a record had before may be gone by now.
CREATE FUNCTION tags_exist() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  missing bigint;
BEGIN
  SELECT tag INTO missing FROM unnest(new.tags) tag
  WHERE (tg_op = 'INSERT' OR tag <> ALL (old.tags))
    AND NOT EXISTS (SELECT FROM tags WHERE organization_id = new.organization_id AND id = tag AND deleted_at IS NULL)
  LIMIT 1;
  IF missing IS NOT NULL THEN
    RAISE foreign_key_violation USING MESSAGE = format('there is no tag %s', missing), TABLE = tg_table_name, CONSTRAINT = tg_table_name || '_tags_reference';
  END IF;
  RETURN new;
END $$;
--> statement-breakpoint
-- Every migration that gives a table the column `tags` calls this once for it.
CREATE PROCEDURE watch_tags(watched regclass) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER tags_exist BEFORE INSERT OR UPDATE OF tags ON %s FOR EACH ROW WHEN (new.tags <> ''{}'') EXECUTE FUNCTION tags_exist()', watched);
END $$;
--> statement-breakpoint
CALL watch_tags('accounts');
--> statement-breakpoint
CALL watch_tags('activities');
--> statement-breakpoint
CALL watch_tags('campaigns');
--> statement-breakpoint
CALL watch_tags('contacts');
--> statement-breakpoint
CALL watch_tags('leads');
--> statement-breakpoint
CALL watch_tags('opportunities');
--> statement-breakpoint
-- Links are given and shown with the activity; this puts each into the table that lists and timelines read.
CREATE FUNCTION links_of(links jsonb) RETURNS TABLE (link_position int, contact_id bigint, lead_id bigint, account_id bigint, opportunity_id bigint) LANGUAGE sql IMMUTABLE AS $$
  SELECT number, CASE kind WHEN 'contact' THEN id END, CASE kind WHEN 'lead' THEN id END, CASE kind WHEN 'account' THEN id END, CASE kind WHEN 'opportunity' THEN id END
  FROM jsonb_array_elements(links) WITH ORDINALITY AS link (value, number), LATERAL (SELECT value ->> 'type', (value ->> 'id')::bigint) AS subject (kind, id)
$$;
--> statement-breakpoint
CREATE FUNCTION link_activities() RETURNS trigger LANGUAGE plpgsql SET enable_nestloop = off SET jit = off AS $$
BEGIN
  IF tg_op = 'INSERT' THEN
    INSERT INTO activity_links
    SELECT n.organization_id, n.id, links.*, coalesce(n.completed_at, n.created_at) FROM new_rows n, links_of(n.links) links WHERE n.deleted_at IS NULL;
  ELSE
    DELETE FROM activity_links l USING new_rows n JOIN old_rows o USING (organization_id, id)
    WHERE l.organization_id = n.organization_id AND l.activity_id = n.id
      AND (n.links, n.completed_at, n.deleted_at) IS DISTINCT FROM (o.links, o.completed_at, o.deleted_at);
    INSERT INTO activity_links
    SELECT n.organization_id, n.id, links.*, coalesce(n.completed_at, n.created_at)
    FROM new_rows n JOIN old_rows o USING (organization_id, id), links_of(n.links) links
    WHERE n.deleted_at IS NULL AND (n.links, n.completed_at, n.deleted_at) IS DISTINCT FROM (o.links, o.completed_at, o.deleted_at);
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER links_of_insert AFTER INSERT ON activities REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION link_activities();
--> statement-breakpoint
CREATE TRIGGER links_of_update AFTER UPDATE ON activities REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION link_activities();
--> statement-breakpoint
-- A record that comes to another stage (or status) is stamped with the time, unless the statement says which, and leaves a row in `moves`.
CREATE FUNCTION stamp_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  new.moved_at := clock_timestamp();
  RETURN new;
END $$;
--> statement-breakpoint
CREATE FUNCTION record_moves() RETURNS trigger LANGUAGE plpgsql SET enable_nestloop = off SET jit = off AS $$
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
    SELECT n.organization_id, subject, n.id, (new_row ->> 'pipeline_id')::bigint, old_row ->> place, new_row ->> place, n.moved_at,
      CASE WHEN n.version > o.version THEN n.updated_by END, greatest(0, floor(extract(epoch FROM n.moved_at - o.moved_at)))
    FROM new_rows n JOIN old_rows o USING (organization_id, id), to_jsonb(n) new_row, to_jsonb(o) old_row
    WHERE (new_row -> place, new_row -> 'pipeline_id') IS DISTINCT FROM (old_row -> place, old_row -> 'pipeline_id');
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE PROCEDURE watch_moves(watched regclass, subject text, stage text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER stamp_move BEFORE UPDATE ON %s FOR EACH ROW WHEN (old.%I IS DISTINCT FROM new.%2$I AND old.moved_at = new.moved_at) EXECUTE FUNCTION stamp_move()', watched, stage);
  EXECUTE format('CREATE TRIGGER moves_of_insert AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_moves(%L, %L)', watched, subject, stage);
  EXECUTE format('CREATE TRIGGER moves_of_update AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_moves(%L, %L)', watched, subject, stage);
END $$;
--> statement-breakpoint
-- A contact that changes may change the scores of its leads: the worker is told, where an active model scores them.
CREATE FUNCTION rescore_leads_of_contacts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM graphile_worker.add_job('rescore_leads', json_build_object('organization_id', organization_id, 'contact_ids', ids))
  FROM (
    SELECT n.organization_id, array_agg(n.id) AS ids FROM new_rows n
    WHERE EXISTS (SELECT FROM scoring_models m WHERE m.organization_id = n.organization_id AND m.status = 'active' AND m.deleted_at IS NULL)
      AND EXISTS (SELECT FROM leads l WHERE l.organization_id = n.organization_id AND l.contact_id = n.id AND l.deleted_at IS NULL)
    GROUP BY n.organization_id
  ) changed;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER rescore_leads AFTER UPDATE ON contacts REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION rescore_leads_of_contacts();
--> statement-breakpoint
-- Each organisation begins with one pipeline, the stages that opportunities have had so far.
INSERT INTO pipelines (organization_id, name, is_default) SELECT id, 'Sales', true FROM organizations ORDER BY id;
--> statement-breakpoint
INSERT INTO stages (organization_id, pipeline_id, key, name, position, probability, kind)
SELECT p.organization_id, p.id, s.* FROM pipelines p, (VALUES
  ('prospecting', 'Prospecting', 1, 10, 'open'), ('qualification', 'Qualification', 2, 25, 'open'), ('proposal', 'Proposal', 3, 50, 'open'),
  ('negotiation', 'Negotiation', 4, 75, 'open'), ('won', 'Won', 5, 100, 'won'), ('lost', 'Lost', 6, 0, 'lost')
) s ORDER BY p.id, s.column3;
--> statement-breakpoint
UPDATE opportunities o SET pipeline_id = p.id, status = CASE o.stage WHEN 'won' THEN 'won' WHEN 'lost' THEN 'lost' ELSE 'open' END,
  probability = CASE o.stage WHEN 'won' THEN 100 WHEN 'lost' THEN 0 ELSE o.probability END,
  moved_at = o.updated_at, closed_at = CASE WHEN o.stage IN ('won', 'lost') THEN o.updated_at END
FROM pipelines p WHERE p.organization_id = o.organization_id;
--> statement-breakpoint
UPDATE leads SET moved_at = updated_at;
--> statement-breakpoint
INSERT INTO moves (organization_id, subject_type, subject_id, pipeline_id, to_stage, moved_at)
SELECT organization_id, 'opportunity', id, pipeline_id, stage, moved_at FROM opportunities
UNION ALL SELECT organization_id, 'lead', id, NULL, status, moved_at FROM leads;
--> statement-breakpoint
ALTER TABLE opportunities ALTER COLUMN pipeline_id SET NOT NULL;
--> statement-breakpoint
-- Drizzle does not know of this one: the kit checks references by id, and this is one by key.
ALTER TABLE opportunities ADD CONSTRAINT opportunities_stage_reference FOREIGN KEY (organization_id, pipeline_id, stage) REFERENCES stages (organization_id, pipeline_id, key);
--> statement-breakpoint
CALL watch_moves('leads', 'lead', 'status');
--> statement-breakpoint
CALL watch_moves('opportunities', 'opportunity', 'stage');
