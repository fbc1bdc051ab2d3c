CREATE TABLE "roles" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "roles_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"name" varchar(60) NOT NULL,
	"description" varchar(500),
	"is_built_in" boolean DEFAULT false NOT NULL,
	"grants" jsonb NOT NULL,
	CONSTRAINT "roles_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
CREATE TABLE "shares" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "shares_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"subject_type" varchar(40) NOT NULL,
	"subject_id" bigint NOT NULL,
	"user_id" bigint,
	"team_id" bigint,
	"access" varchar(10) NOT NULL,
	CONSTRAINT "shares_key" PRIMARY KEY("organization_id","id"),
	CONSTRAINT "shares_user_id_check" CHECK (num_nonnulls("shares"."user_id", "shares"."team_id") = 1)
);
--> statement-breakpoint
-- What users may do is said by roles, of which each organization has some that are built in and may add its own. The three
-- roles of before are three of them.
DROP INDEX "idx_users_role";--> statement-breakpoint
ALTER TABLE "users" ALTER COLUMN "role" SET DATA TYPE varchar(60);--> statement-breakpoint
ALTER TABLE "teams" ADD COLUMN "parent_team_id" bigint;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "role_ids" bigint[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "shares" ADD CONSTRAINT "shares_user_id_reference" FOREIGN KEY ("organization_id","user_id") REFERENCES "public"."users"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "shares" ADD CONSTRAINT "shares_team_id_reference" FOREIGN KEY ("organization_id","team_id") REFERENCES "public"."teams"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "idx_roles_deleted" ON "roles" USING btree ("organization_id","id") WHERE "roles"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_roles_name" ON "roles" USING btree ("organization_id","name" collate address_book,"id") WHERE "roles"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_roles_created_at" ON "roles" USING btree ("organization_id","created_at","id") WHERE "roles"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_roles_updated_at" ON "roles" USING btree ("organization_id","updated_at","id") WHERE "roles"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "roles_name_unique" ON "roles" USING btree ("organization_id",lower("name")) WHERE "roles"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_shares_deleted" ON "shares" USING btree ("organization_id","id") WHERE "shares"."deleted_at" is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "shares_user_id_unique" ON "shares" USING btree ("organization_id","subject_type","subject_id","user_id") WHERE "shares"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "shares_team_id_unique" ON "shares" USING btree ("organization_id","subject_type","subject_id","team_id") WHERE "shares"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_shares_user" ON "shares" USING btree ("organization_id","user_id","subject_type") WHERE "shares"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_shares_team" ON "shares" USING btree ("organization_id","team_id","subject_type") WHERE "shares"."deleted_at" is null;--> statement-breakpoint
ALTER TABLE "teams" ADD CONSTRAINT "teams_parent_team_id_reference" FOREIGN KEY ("organization_id","parent_team_id") REFERENCES "public"."teams"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "idx_teams_parent_team_id" ON "teams" USING btree ("organization_id","parent_team_id","id") WHERE "teams"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_created_by" ON "accounts" USING btree ("organization_id","created_by","id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_activities_created_by" ON "activities" USING btree ("organization_id","created_by","id") WHERE "activities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_leads_created_by" ON "leads" USING btree ("organization_id","created_by","id") WHERE "leads"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_users_role_ids" ON "users" USING gin ("organization_id" int8_ops,"role_ids") WHERE "users"."deleted_at" is null and "users"."role_ids" <> '{}';--> statement-breakpoint
CREATE INDEX "idx_campaigns_created_by" ON "campaigns" USING btree ("organization_id","created_by","id") WHERE "campaigns"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_created_by" ON "opportunities" USING btree ("organization_id","created_by","id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_users_role" ON "users" USING btree ("organization_id","role" collate address_book,"id") WHERE "users"."deleted_at" is null;--> statement-breakpoint
-- The roles that every organization has. Their grants name groups of resources, so that they hold for new resources, too.
CREATE FUNCTION create_built_in_roles(organization bigint) RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
  INSERT INTO roles (organization_id, is_built_in, name, description, grants)
  SELECT organization, true, name, description, grants FROM (VALUES
    (1, 'admin', 'Everything.', '[
      {"resource": "records", "actions": ["read", "create", "update", "delete", "export"], "reach": "all"},
      {"resource": "settings", "actions": ["read", "create", "update", "delete", "export"], "reach": "all"},
      {"resource": "administration", "actions": ["read", "create", "update", "delete", "export"], "reach": "all"}]'::jsonb),
    (2, 'manager', 'Records of their teams.', '[
      {"resource": "records", "actions": ["read", "create", "update", "delete", "export"], "reach": "team"},
      {"resource": "settings", "actions": ["read", "export"], "reach": "all"}]'),
    (3, 'user', 'All records.', '[
      {"resource": "records", "actions": ["read", "create", "update", "delete", "export"], "reach": "all"},
      {"resource": "settings", "actions": ["read", "export"], "reach": "all"}]'),
    (4, 'viewer', 'Reading all records.', '[
      {"resource": "records", "actions": ["read", "export"], "reach": "all"},
      {"resource": "settings", "actions": ["read", "export"], "reach": "all"}]'),
    (5, 'partner', 'Own records.', '[
      {"resource": "records", "actions": ["read", "create", "update", "delete", "export"], "reach": "own"},
      {"resource": "settings", "actions": ["read", "export"], "reach": "all"}]')
  ) built_in (position, name, description, grants) ORDER BY position
$$;
--> statement-breakpoint
SELECT create_built_in_roles(id) FROM organizations;
--> statement-breakpoint
CREATE FUNCTION provide_roles() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM create_built_in_roles(new.id);
  RETURN null;
END $$;
--> statement-breakpoint
CREATE TRIGGER provide_roles AFTER INSERT ON organizations FOR EACH ROW EXECUTE FUNCTION provide_roles();
--> statement-breakpoint
UPDATE users SET role_ids = array[roles.id] FROM roles
WHERE roles.organization_id = users.organization_id AND roles.name = users.role;
--> statement-breakpoint
-- Processes of the release before know only the name: the roles follow it.
CREATE FUNCTION follow_role() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM roles
    WHERE organization_id = new.organization_id AND id = new.role_ids[1] AND lower(name) = lower(new.role)) THEN
    new.role_ids := array(SELECT id FROM roles
      WHERE organization_id = new.organization_id AND lower(name) = lower(new.role) AND deleted_at IS NULL);
  END IF;
  RETURN new;
END $$;
--> statement-breakpoint
CREATE TRIGGER follow_role_of_new BEFORE INSERT ON users FOR EACH ROW WHEN (new.role_ids = '{}') EXECUTE FUNCTION follow_role();
--> statement-breakpoint
CREATE TRIGGER follow_role BEFORE UPDATE ON users FOR EACH ROW
  WHEN (new.role IS DISTINCT FROM old.role AND new.role_ids = old.role_ids)
  EXECUTE FUNCTION follow_role();
--> statement-breakpoint
CALL watch_records('roles', 'role');
--> statement-breakpoint
CALL watch_records('shares', 'share');
--> statement-breakpoint
CALL measure_indexed_keys();
