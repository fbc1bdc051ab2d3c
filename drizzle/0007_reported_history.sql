-- This and the next migrations change almost all tables: they wait for all of them before any work, so that a lock that
-- is held elsewhere is found at once (the start tries again), and no deadlock after minutes.
DO $$
BEGIN
  EXECUTE (SELECT 'LOCK TABLE ' || string_agg(quote_ident(tablename), ', ') FROM pg_tables WHERE schemaname = current_schema());
END $$;
--> statement-breakpoint
CREATE INDEX "idx_leads_contact_id_all" ON "leads" USING btree ("organization_id","contact_id","id");--> statement-breakpoint
CREATE INDEX "idx_opportunities_months" ON "opportunities" USING btree ("organization_id","close_date","closed_at","status","amount","probability") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
DROP INDEX "idx_leads_contact_id";--> statement-breakpoint
DROP INDEX "idx_leads_source";--> statement-breakpoint
DROP INDEX "idx_opportunities_forecast";
