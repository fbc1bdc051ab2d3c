ALTER TABLE "activity_links" DROP CONSTRAINT "activity_links_subject_check";--> statement-breakpoint
ALTER TABLE "activity_links" ADD COLUMN "via_lead_id" bigint;--> statement-breakpoint
CREATE INDEX "idx_accounts_name_key" ON "accounts" USING btree ("organization_id",match_key("name")) WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_website_key" ON "accounts" USING btree ("organization_id",website_host("website")) WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_activity_links_via_lead_id" ON "activity_links" USING btree ("organization_id","via_lead_id") WHERE "activity_links"."via_lead_id" is not null;--> statement-breakpoint
CREATE INDEX "idx_contacts_person_key" ON "contacts" USING btree ("organization_id",(match_key("first_name") || ' ' || match_key("last_name") || ' ' || match_key("company"))) WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
ALTER TABLE "activity_links" ADD CONSTRAINT "activity_links_subject_check" CHECK ("activity_links"."via_lead_id" is not null
        or num_nonnulls("activity_links"."contact_id", "activity_links"."lead_id", "activity_links"."account_id", "activity_links"."opportunity_id") = 1);--> statement-breakpoint
-- The activities of leads that are converted already.
INSERT INTO activity_links
SELECT l.organization_id, l.activity_id, 1000 + l.position, c.contact_id, NULL, c.account_id, c.opportunity_id, l.occurred_at, l.lead_id
FROM activity_links l
JOIN conversions c ON c.organization_id = l.organization_id AND c.lead_id = l.lead_id AND c.deleted_at IS NULL;
