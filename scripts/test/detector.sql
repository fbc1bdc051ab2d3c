-- A detector for the tests: the role smartx_tenant works for one organization (its setting `app.organization`), and a
-- statement of its that looks at a row of another one fails. The condition is expensive for the planner, so it is
-- evaluated after `organization_id = …`: a statement that has that never meets such a row.
CREATE FUNCTION assert_tenant(organization_id bigint) RETURNS boolean LANGUAGE plpgsql STABLE COST 100000 AS $$
BEGIN
  IF organization_id <> current_setting('app.organization')::bigint
    AND pg_trigger_depth() = 0 -- a trigger joins with the rows of its statement
    AND current_query() NOT LIKE '%/* of all organizations */%' THEN
    RAISE EXCEPTION 'a statement without its organization reads a row of organization %', organization_id;
  END IF;
  RETURN true;
END $$;

DO $$
DECLARE watched regclass;
BEGIN
  BEGIN
    CREATE ROLE smartx_tenant LOGIN;
  EXCEPTION WHEN duplicate_object THEN NULL;
  END;
  FOR watched IN
    SELECT c.oid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attname = 'organization_id'
  LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', watched);
    EXECUTE format('CREATE POLICY tenant ON %s TO smartx_tenant USING (assert_tenant(organization_id))', watched);
    EXECUTE format('CREATE POLICY application ON %s TO smartx_app USING (true)', watched);
  END LOOP;
  -- the queue is of the process, not of an organization
  FOR watched IN
    SELECT oid FROM pg_class WHERE relnamespace = 'graphile_worker'::regnamespace AND relrowsecurity
  LOOP
    EXECUTE format('CREATE POLICY tenant ON %s TO smartx_tenant USING (true)', watched);
  END LOOP;
END $$;

GRANT USAGE ON SCHEMA graphile_worker, drizzle TO smartx_tenant;
GRANT ALL ON ALL TABLES IN SCHEMA public, graphile_worker, drizzle TO smartx_tenant;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public, graphile_worker TO smartx_tenant;
GRANT EXECUTE ON FUNCTION record_access TO smartx_tenant;
