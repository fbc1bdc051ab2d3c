-- indexes are dropped last, since that keeps readers out until the end of the transaction
CREATE INDEX "idx_leads_contact_id_all" ON "leads" USING btree ("organization_id","contact_id","id");--> statement-breakpoint
CREATE INDEX "idx_leads_source_all" ON "leads" USING btree ("organization_id","source","id");--> statement-breakpoint
CREATE INDEX "idx_opportunities_months" ON "opportunities" USING btree ("organization_id","close_date","closed_at","status","amount","probability") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
DROP INDEX "idx_leads_contact_id";--> statement-breakpoint
DROP INDEX "idx_leads_source";--> statement-breakpoint
DROP INDEX "idx_opportunities_forecast";
