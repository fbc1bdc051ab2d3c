-- Two names are the same if their keys are: case, accents, composed or decomposed letters, the width and number of white spaces,
-- invisible characters and punctuation at the end make no difference. Null for a name without anything else.
CREATE FUNCTION match_key(value text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN nullif(rtrim(ltrim(regexp_replace(
    -- upper first: the final sigma is a sigma
    lower(upper(unaccent('unaccent'::regdictionary, regexp_replace(
      normalize(value, NFKD),
      '[\u00ad\u0300-\u036f\u0591-\u05bd\u061c\u064b-\u065f\u0670\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff]', '', 'g')))),
    '[\s\u0085\u1680\u2028\u2029]+', ' ', 'g')), ' .,:;!?-–—_''"…。、'), '');
--> statement-breakpoint
-- The host of a website, without the scheme, `www.`, a user, a port and a path. It need not be one of the Internet.
CREATE FUNCTION website_host(website text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN rtrim(substring(lower(normalize(website, NFKC))
    FROM '^\s*(?:(?:[a-z][a-z0-9+.-]*:)?//)?(?:[^/?#@]*@)?(?:www[.])?([^/:?#\s]+)'), '.');
--> statement-breakpoint
-- A conversion and a change of what is linked to its lead wait for each other: whichever comes second sees the first. In the order of
-- the IDs, so that two activities of several leads never wait for each other.
CREATE FUNCTION share_leads(tenant bigint, leads_of_activities bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM leads WHERE organization_id = tenant AND id = ANY (leads_of_activities) ORDER BY id FOR SHARE;
END $$;
--> statement-breakpoint
-- Links activities to what their converted leads became: one row for each such lead, after the links of the activity itself. The leads
-- are locked.
CREATE FUNCTION link_through_leads(tenant bigint, changed bigint[]) RETURNS void LANGUAGE plpgsql SET enable_nestloop = on SET jit = off AS $$
BEGIN
  INSERT INTO activity_links
  SELECT tenant, l.activity_id, 1000 + l.position, c.contact_id, NULL, c.account_id, c.opportunity_id, l.occurred_at, l.lead_id
  FROM activity_links l
  JOIN conversions c ON c.organization_id = tenant AND c.lead_id = l.lead_id AND c.deleted_at IS NULL
  WHERE l.organization_id = tenant AND l.activity_id = ANY (changed) AND l.lead_id IS NOT NULL;
END $$;
--> statement-breakpoint
-- As 0004 made it, and with the links through converted leads.
CREATE OR REPLACE FUNCTION link_activities() RETURNS trigger LANGUAGE plpgsql SET enable_nestloop = off SET jit = off AS $$
DECLARE
  tenant bigint;
  changed bigint[];
  leads_of_changed bigint[];
BEGIN
  IF tg_op = 'INSERT' THEN
    INSERT INTO activity_links
    SELECT n.organization_id, n.id, links.*, coalesce(n.completed_at, n.created_at) FROM new_rows n, links_of(n.links) links WHERE n.deleted_at IS NULL;
    FOR tenant, changed, leads_of_changed IN
      SELECT n.organization_id, array_agg(n.id), array_agg(links.lead_id)
      FROM new_rows n, links_of(n.links) links WHERE n.deleted_at IS NULL AND links.lead_id IS NOT NULL GROUP BY 1
    LOOP
      PERFORM share_leads(tenant, leads_of_changed);
      PERFORM link_through_leads(tenant, changed);
    END LOOP;
    RETURN NULL;
  END IF;
  FOR tenant, changed, leads_of_changed IN
    SELECT n.organization_id, array_agg(DISTINCT n.id), array_agg(links.lead_id) FILTER (WHERE links.lead_id IS NOT NULL)
    FROM new_rows n JOIN old_rows o USING (organization_id, id) LEFT JOIN LATERAL links_of(o.links || n.links) links ON true
    WHERE (n.links, n.completed_at, n.deleted_at) IS DISTINCT FROM (o.links, o.completed_at, o.deleted_at) GROUP BY 1
  LOOP
    PERFORM share_leads(tenant, leads_of_changed);
    DELETE FROM activity_links WHERE organization_id = tenant AND activity_id = ANY (changed);
    INSERT INTO activity_links
    SELECT n.organization_id, n.id, links.*, coalesce(n.completed_at, n.created_at)
    FROM new_rows n, links_of(n.links) links WHERE n.organization_id = tenant AND n.id = ANY (changed) AND n.deleted_at IS NULL;
    PERFORM link_through_leads(tenant, changed);
  END LOOP;
  RETURN NULL;
END $$;
--> statement-breakpoint
-- A conversion links the activities of its lead to what the lead became; undoing it removes these links and no others.
CREATE FUNCTION link_activities_of_lead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF new.deleted_at IS NULL THEN
    INSERT INTO activity_links
    SELECT l.organization_id, l.activity_id, 1000 + l.position, new.contact_id, NULL, new.account_id, new.opportunity_id, l.occurred_at, l.lead_id
    FROM activity_links l
    WHERE l.organization_id = new.organization_id AND l.lead_id = new.lead_id;
  ELSE
    DELETE FROM activity_links WHERE organization_id = new.organization_id AND via_lead_id = new.lead_id;
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER links_of_insert AFTER INSERT ON conversions FOR EACH ROW WHEN (new.deleted_at IS NULL) EXECUTE FUNCTION link_activities_of_lead();
--> statement-breakpoint
CREATE TRIGGER links_of_update AFTER UPDATE ON conversions FOR EACH ROW WHEN (old.deleted_at IS DISTINCT FROM new.deleted_at) EXECUTE FUNCTION link_activities_of_lead();
