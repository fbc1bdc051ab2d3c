ALTER TABLE "invitations" DROP CONSTRAINT "invitations_role_id_reference";
--> statement-breakpoint
DROP INDEX "idx_invitations_role_id";--> statement-breakpoint
ALTER TABLE "invitations" ADD COLUMN "role_ids" bigint[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
UPDATE "invitations" SET "role_ids" = ARRAY["role_id"];--> statement-breakpoint
ALTER TABLE "invitations" ADD COLUMN "team_ids" bigint[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "time_zone" varchar(60);--> statement-breakpoint
CREATE INDEX "idx_invitations_role_ids" ON "invitations" USING gin ("organization_id" int8_ops,"role_ids") WHERE "invitations"."deleted_at" is null and "invitations"."role_ids" <> '{}';--> statement-breakpoint
CREATE INDEX "idx_invitations_team_ids" ON "invitations" USING gin ("organization_id" int8_ops,"team_ids") WHERE "invitations"."deleted_at" is null and "invitations"."team_ids" <> '{}';--> statement-breakpoint
ALTER TABLE "invitations" DROP COLUMN "role_id";