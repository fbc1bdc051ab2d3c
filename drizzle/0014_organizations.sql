-- User names and email addresses are unique within an organization, so that no organization learns whom another one has.
-- Those who log in name the organization by its slug, where a name alone is not enough.
ALTER TABLE "organizations" ADD COLUMN "slug" varchar(63) DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "first_name" varchar(50);--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "last_name" varchar(50);--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "phone" varchar(20);--> statement-breakpoint
ALTER TABLE "users" DROP COLUMN "search_text", ADD COLUMN "search_text" text GENERATED ALWAYS AS (search_text("username", "first_name", "last_name", "email")) STORED NOT NULL;--> statement-breakpoint
-- The slug of an organization that has none: its name in ASCII, or its ID where that is taken or empty.
CREATE FUNCTION name_organization() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('organization slugs')); -- one at a time sees which are taken
  new.slug := trim('-' FROM left(regexp_replace(lower(unaccent('unaccent'::regdictionary, new.name)), '[^a-z0-9]+', '-', 'g'), 40));
  IF new.slug = '' THEN
    new.slug := 'organization-' || new.id;
  ELSIF EXISTS (SELECT FROM organizations WHERE slug = new.slug) THEN
    new.slug := new.slug || '-' || new.id;
  END IF;
  RETURN new;
END $$;
--> statement-breakpoint
CREATE TRIGGER name_organization BEFORE INSERT OR UPDATE ON organizations FOR EACH ROW WHEN (new.slug = '') EXECUTE FUNCTION name_organization();
--> statement-breakpoint
DO $$
DECLARE
  one bigint;
BEGIN
  FOR one IN SELECT id FROM organizations ORDER BY id LOOP
    UPDATE organizations SET slug = '' WHERE id = one; -- each sees the slugs of those before it
  END LOOP;
END $$;
--> statement-breakpoint
ALTER TABLE "organizations" ADD CONSTRAINT "organizations_slug_unique" UNIQUE("slug");--> statement-breakpoint
DROP INDEX "users_username_unique";--> statement-breakpoint
DROP INDEX "users_email_unique";--> statement-breakpoint
CREATE UNIQUE INDEX "users_username_unique" ON "users" USING btree (lower("username"),"organization_id") WHERE deleted_at is null;--> statement-breakpoint
CREATE UNIQUE INDEX "users_email_unique" ON "users" USING btree (email_key("email"),"organization_id") WHERE deleted_at is null;--> statement-breakpoint
CREATE INDEX "idx_users_first_name" ON "users" USING btree ("organization_id","first_name" collate address_book,"id") WHERE "users"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_users_last_name" ON "users" USING btree ("organization_id","last_name" collate address_book,"id") WHERE "users"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_users_search" ON "users" USING gin ("organization_id" int8_ops,"search_text" gin_trgm_ops) WITH (gin_pending_list_limit=512) WHERE "users"."deleted_at" is null;
