CREATE TABLE "second_factors" (
	"organization_id" bigint NOT NULL,
	"user_id" bigint NOT NULL,
	"secret" varchar(200),
	"pending_secret" varchar(200),
	"last_step" bigint,
	"recovery_codes" varchar(64)[] DEFAULT '{}' NOT NULL,
	CONSTRAINT "second_factors_key" PRIMARY KEY("organization_id","user_id")
);
--> statement-breakpoint
ALTER TABLE "sessions" ADD COLUMN "stepped_up_at" timestamp(3) with time zone DEFAULT now() NOT NULL;--> statement-breakpoint
ALTER TABLE "organizations" ADD COLUMN "session_idle_days" integer DEFAULT 30 NOT NULL;--> statement-breakpoint
ALTER TABLE "organizations" ADD COLUMN "session_absolute_days" integer DEFAULT 90 NOT NULL;--> statement-breakpoint
ALTER TABLE "organizations" ADD COLUMN "second_factor" varchar(10) DEFAULT 'optional' NOT NULL;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "second_factor_since" timestamp(3) with time zone;--> statement-breakpoint
ALTER TABLE "second_factors" ADD CONSTRAINT "second_factors_user_id_reference" FOREIGN KEY ("organization_id","user_id") REFERENCES "public"."users"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "organizations" ADD CONSTRAINT "organizations_session_idle_days_check" CHECK (0 < "organizations"."session_idle_days" and "organizations"."session_idle_days" <= "organizations"."session_absolute_days");--> statement-breakpoint
-- the upgrade is no login
UPDATE sessions SET stepped_up_at = created_at;
--> statement-breakpoint
DROP TRIGGER announce_sessions ON sessions;
--> statement-breakpoint
CREATE TRIGGER announce_sessions AFTER UPDATE ON sessions FOR EACH ROW
  WHEN ((old.revoked_at, old.stepped_up_at) IS DISTINCT FROM (new.revoked_at, new.stepped_up_at))
  EXECUTE FUNCTION announce_access();
--> statement-breakpoint
DROP TRIGGER announce_users ON users;
--> statement-breakpoint
CREATE TRIGGER announce_users AFTER UPDATE ON users FOR EACH ROW
  WHEN ((old.status, old.deleted_at, old.role_ids, old.second_factor_since)
    IS DISTINCT FROM (new.status, new.deleted_at, new.role_ids, new.second_factor_since))
  EXECUTE FUNCTION announce_access();
