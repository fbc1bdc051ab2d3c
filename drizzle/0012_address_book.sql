-- Names are sorted as in an address book (the root collation of ICU; equal only if they are the same), whatever the
-- locale of the database.
CREATE COLLATION address_book (provider = icu, locale = 'und');
--> statement-breakpoint
-- The ASCII form of a label of a domain without its prefix, `xn--` (RFC 3492).
CREATE FUNCTION punycode(label text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  points int[] := ARRAY(SELECT ascii(one) FROM regexp_split_to_table(label, '') WITH ORDINALITY c (one, i) ORDER BY i);
  basic int := (SELECT count(*) FROM unnest(points) point WHERE point < 128);
  encoded text := coalesce((SELECT string_agg(chr(point), '' ORDER BY i) FROM unnest(points) WITH ORDINALITY p (point, i)
    WHERE point < 128), '');
  digits CONSTANT text := 'abcdefghijklmnopqrstuvwxyz0123456789';
  handled int := basic;
  n int := 128;
  bias int := 72;
  delta bigint := 0;
  next int; q bigint; k int; t int; point int;
BEGIN
  IF basic > 0 THEN
    encoded := encoded || '-';
  END IF;
  WHILE handled < array_length(points, 1) LOOP
    next := (SELECT min(one) FROM unnest(points) one WHERE one >= n);
    delta := delta + (next - n)::bigint * (handled + 1);
    n := next;
    FOREACH point IN ARRAY points LOOP
      IF point < n THEN
        delta := delta + 1;
      ELSIF point = n THEN
        q := delta;
        k := 36;
        LOOP
          t := least(greatest(k - bias, 1), 26);
          EXIT WHEN q < t;
          encoded := encoded || substr(digits, 1 + t + ((q - t) % (36 - t))::int, 1);
          q := (q - t) / (36 - t);
          k := k + 36;
        END LOOP;
        encoded := encoded || substr(digits, 1 + q::int, 1);
        -- the bias is adapted to the size of the next deltas
        delta := CASE WHEN handled = basic THEN delta / 700 ELSE delta / 2 END;
        delta := delta + delta / (handled + 1);
        k := 0;
        WHILE delta > 455 LOOP
          delta := delta / 35;
          k := k + 36;
        END LOOP;
        bias := k + (36 * delta / (delta + 38))::int;
        delta := 0;
        handled := handled + 1;
      END IF;
    END LOOP;
    delta := delta + 1;
    n := n + 1;
  END LOOP;
  RETURN encoded;
END $$;
--> statement-breakpoint
-- What email addresses are compared by: without case, and with the ASCII form of the domain.
CREATE FUNCTION email_key(email text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path FROM CURRENT AS $$
BEGIN
  IF octet_length(email) = char_length(email) THEN
    RETURN lower(email COLLATE "C");
  END IF;
  RETURN lower(normalize(split_part(email, '@', 1), NFC)) || '@' || (
    SELECT string_agg(CASE WHEN octet_length(label) = char_length(label) THEN label ELSE 'xn--' || punycode(label) END, '.'
      ORDER BY i)
    FROM regexp_split_to_table(lower(normalize(split_part(email, '@', 2), NFKC)), '[.。]') WITH ORDINALITY l (label, i));
END $$;
--> statement-breakpoint
-- In lists of values, one that begins with white space or a quotation mark is in quotes from now on. Stored filters with
-- such a value are rewritten, so that they mean what they meant. `encoded`: as in a query string.
CREATE FUNCTION pg_temp.requoted(list text, encoded boolean) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(CASE
      WHEN encoded AND one ~* '^(\s|\+|%20|%0[9ad]|%c2%a0|"|%22)' THEN '%22' || regexp_replace(one, '"|%22', '%22%22', 'g') || '%22'
      WHEN NOT encoded AND one ~ '^[\s"]' THEN '"' || replace(one, '"', '""') || '"'
      ELSE one END, ',' ORDER BY i)
  FROM regexp_split_to_table(list, CASE WHEN encoded THEN ',|%2[Cc]' ELSE ',' END) WITH ORDINALITY l (one, i)
$$;
--> statement-breakpoint
CREATE FUNCTION pg_temp.requoted_filter(filter text) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(CASE
      WHEN split_part(part, '=', 1) ~* '(\[|%5b)in(\]|%5d)$'
      THEN split_part(part, '=', 1) || '=' || pg_temp.requoted(substr(part, strpos(part, '=') + 1), true)
      ELSE part END, '&' ORDER BY i), '')
  FROM regexp_split_to_table(filter, '&') WITH ORDINALITY p (part, i)
$$;
--> statement-breakpoint
DO $$
DECLARE
  changed record;
BEGIN
  FOR changed IN
    UPDATE territories SET filter = pg_temp.requoted_filter(filter), version = version + 1, updated_at = now(), updated_by = NULL
    WHERE filter <> pg_temp.requoted_filter(filter) RETURNING organization_id, id, filter
  LOOP
    RAISE WARNING 'The filter of territory % of organization % is now written as %', changed.id, changed.organization_id, changed.filter;
  END LOOP;
  FOR changed IN
    UPDATE assignment_rules SET filter = pg_temp.requoted_filter(filter), version = version + 1, updated_at = now(), updated_by = NULL
    WHERE filter <> pg_temp.requoted_filter(filter) RETURNING organization_id, id, filter
  LOOP
    RAISE WARNING 'The filter of assignment rule % of organization % is now written as %', changed.id, changed.organization_id, changed.filter;
  END LOOP;
  FOR changed IN
    WITH rewritten AS (
      SELECT m.organization_id, m.id, jsonb_agg(CASE WHEN rule->>'operator' = 'in'
          THEN jsonb_set(rule, '{value}', to_jsonb(pg_temp.requoted(rule->>'value', false))) ELSE rule END ORDER BY i) AS rules
      FROM scoring_models m, jsonb_array_elements(m.rules::jsonb) WITH ORDINALITY r (rule, i)
      GROUP BY 1, 2
    )
    UPDATE scoring_models m SET rules = rewritten.rules, version = m.version + 1, updated_at = now(), updated_by = NULL
    FROM rewritten WHERE m.organization_id = rewritten.organization_id AND m.id = rewritten.id AND m.rules::jsonb <> rewritten.rules
    RETURNING m.organization_id, m.id
  LOOP
    RAISE WARNING 'Rules of scoring model % of organization % are now written with quotation marks', changed.id, changed.organization_id;
  END LOOP;
END $$;
--> statement-breakpoint
DROP INDEX "idx_scoring_models_name";--> statement-breakpoint
DROP INDEX "idx_teams_name";--> statement-breakpoint
DROP INDEX "idx_territories_name";--> statement-breakpoint
DROP INDEX "idx_accounts_name";--> statement-breakpoint
DROP INDEX "idx_accounts_industry";--> statement-breakpoint
DROP INDEX "idx_accounts_city";--> statement-breakpoint
DROP INDEX "idx_accounts_state";--> statement-breakpoint
DROP INDEX "idx_accounts_country";--> statement-breakpoint
DROP INDEX "idx_accounts_status";--> statement-breakpoint
DROP INDEX "idx_accounts_type";--> statement-breakpoint
DROP INDEX "idx_activities_type";--> statement-breakpoint
DROP INDEX "idx_activities_status";--> statement-breakpoint
DROP INDEX "idx_activities_priority";--> statement-breakpoint
DROP INDEX "idx_contacts_first_name";--> statement-breakpoint
DROP INDEX "idx_contacts_last_name";--> statement-breakpoint
DROP INDEX "idx_contacts_position";--> statement-breakpoint
DROP INDEX "idx_contacts_email";--> statement-breakpoint
DROP INDEX "idx_contacts_phone";--> statement-breakpoint
DROP INDEX "idx_contacts_company";--> statement-breakpoint
DROP INDEX "idx_leads_status";--> statement-breakpoint
DROP INDEX "idx_leads_grade";--> statement-breakpoint
DROP INDEX "idx_tags_name";--> statement-breakpoint
DROP INDEX "idx_users_username";--> statement-breakpoint
DROP INDEX "idx_users_email";--> statement-breakpoint
DROP INDEX "idx_users_role";--> statement-breakpoint
DROP INDEX "idx_users_status";--> statement-breakpoint
DROP INDEX "users_email_unique";--> statement-breakpoint
DROP INDEX "idx_campaigns_name";--> statement-breakpoint
DROP INDEX "idx_campaigns_type";--> statement-breakpoint
DROP INDEX "idx_campaigns_status";--> statement-breakpoint
DROP INDEX "idx_opportunities_title";--> statement-breakpoint
DROP INDEX "idx_opportunities_stage";--> statement-breakpoint
DROP INDEX "idx_opportunities_status";--> statement-breakpoint
DROP INDEX "idx_pipelines_name";--> statement-breakpoint
CREATE INDEX "idx_scoring_models_name" ON "scoring_models" USING btree ("organization_id","name" collate address_book,"id") WHERE "scoring_models"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_teams_name" ON "teams" USING btree ("organization_id","name" collate address_book,"id") WHERE "teams"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_territories_name" ON "territories" USING btree ("organization_id","name" collate address_book,"id") WHERE "territories"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_name" ON "accounts" USING btree ("organization_id","name" collate address_book,"id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_industry" ON "accounts" USING btree ("organization_id","industry" collate address_book,"id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_city" ON "accounts" USING btree ("organization_id","city" collate address_book,"id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_state" ON "accounts" USING btree ("organization_id","state" collate address_book,"id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_country" ON "accounts" USING btree ("organization_id","country" collate address_book,"id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_status" ON "accounts" USING btree ("organization_id",array_position(array['active', 'inactive']::text[], "status"::text),"id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_type" ON "accounts" USING btree ("organization_id",array_position(array['customer', 'prospect', 'partner', 'vendor']::text[], "type"::text),"id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_activities_type" ON "activities" USING btree ("organization_id",array_position(array['call', 'email', 'meeting', 'task', 'note']::text[], "type"::text),"id") WHERE "activities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_activities_status" ON "activities" USING btree ("organization_id",array_position(array['planned', 'in_progress', 'completed', 'cancelled']::text[], "status"::text),"id") WHERE "activities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_activities_priority" ON "activities" USING btree ("organization_id",array_position(array['low', 'medium', 'high']::text[], "priority"::text),"id") WHERE "activities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_first_name" ON "contacts" USING btree ("organization_id","first_name" collate address_book,"id") WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_last_name" ON "contacts" USING btree ("organization_id","last_name" collate address_book,"id") WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_position" ON "contacts" USING btree ("organization_id","position" collate address_book,"id") WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_email" ON "contacts" USING btree ("organization_id",email_key("email") collate address_book,"id") WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_phone" ON "contacts" USING btree ("organization_id","phone" collate address_book,"id") WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_company" ON "contacts" USING btree ("organization_id","company" collate address_book,"id") WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_email_key" ON "contacts" USING btree ("organization_id",email_key("email")) WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_leads_status" ON "leads" USING btree ("organization_id",array_position(array['new', 'contacted', 'qualified', 'unqualified', 'converted']::text[], "status"::text),"id") WHERE "leads"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_leads_grade" ON "leads" USING btree ("organization_id",array_position(array['A', 'B', 'C', 'D']::text[], "grade"::text),"id") WHERE "leads"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_leads_source_all" ON "leads" USING btree ("organization_id","source" collate address_book,"id");--> statement-breakpoint
CREATE INDEX "idx_tags_name" ON "tags" USING btree ("organization_id","name" collate address_book,"id") WHERE "tags"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_users_username" ON "users" USING btree ("organization_id","username" collate address_book,"id") WHERE "users"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_users_email" ON "users" USING btree ("organization_id",email_key("email") collate address_book,"id") WHERE "users"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_users_role" ON "users" USING btree ("organization_id",array_position(array['admin', 'user', 'viewer']::text[], "role"::text),"id") WHERE "users"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_users_status" ON "users" USING btree ("organization_id",array_position(array['active', 'disabled']::text[], "status"::text),"id") WHERE "users"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "users_email_unique" ON "users" USING btree (email_key("email")) WHERE deleted_at is null;--> statement-breakpoint
CREATE INDEX "idx_campaigns_name" ON "campaigns" USING btree ("organization_id","name" collate address_book,"id") WHERE "campaigns"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaigns_type" ON "campaigns" USING btree ("organization_id",array_position(array['email', 'event', 'webinar', 'advertisement', 'telephone', 'other']::text[], "type"::text),"id") WHERE "campaigns"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaigns_status" ON "campaigns" USING btree ("organization_id",array_position(array['planned', 'active', 'completed', 'cancelled']::text[], "status"::text),"id") WHERE "campaigns"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_title" ON "opportunities" USING btree ("organization_id","title" collate address_book,"id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_stage" ON "opportunities" USING btree ("organization_id","stage" collate address_book,"id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_status" ON "opportunities" USING btree ("organization_id",array_position(array['open', 'won', 'lost']::text[], "status"::text),"id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_pipelines_name" ON "pipelines" USING btree ("organization_id","name" collate address_book,"id") WHERE "pipelines"."deleted_at" is null;
--> statement-breakpoint
-- The planner knows how often a column has a value, but not the expressions of partial indexes: without statistics it takes
-- each for a rare one. Every migration that creates an index on an expression calls this.
CREATE PROCEDURE measure_indexed_keys() LANGUAGE plpgsql AS $$
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT DISTINCT ON (i.indrelid, key) i.indrelid::regclass AS measured, key, 'keys_of_' || c.relname AS name
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    CROSS JOIN generate_series(1, i.indnkeyatts) AS place
    CROSS JOIN pg_get_indexdef(i.indexrelid, place, true) AS key
    WHERE c.relnamespace = current_schema()::regnamespace AND i.indkey[place - 1] = 0
    ORDER BY i.indrelid, key, c.relname
  LOOP
    EXECUTE format('CREATE STATISTICS IF NOT EXISTS %I ON (%s) FROM %s', one.name, one.key, one.measured);
  END LOOP;
END $$;
--> statement-breakpoint
CALL measure_indexed_keys();
