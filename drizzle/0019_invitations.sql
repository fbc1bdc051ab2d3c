CREATE TABLE "invitations" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "invitations_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"email" varchar(120) NOT NULL,
	"role" varchar(60) NOT NULL,
	"role_id" bigint NOT NULL,
	"expires_at" timestamp(3) with time zone DEFAULT now() + interval '7 days' NOT NULL,
	"sent_at" timestamp(3) with time zone,
	"user_id" bigint,
	"token_hash" varchar(64),
	CONSTRAINT "invitations_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
CREATE TABLE "password_resets" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "password_resets_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"user_id" bigint NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp(3) with time zone DEFAULT now() + interval '1 hour' NOT NULL,
	"token_hash" varchar(64)
);
--> statement-breakpoint
ALTER TABLE "invitations" ADD CONSTRAINT "invitations_role_id_reference" FOREIGN KEY ("organization_id","role_id") REFERENCES "public"."roles"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "invitations" ADD CONSTRAINT "invitations_user_id_reference" FOREIGN KEY ("organization_id","user_id") REFERENCES "public"."users"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "password_resets" ADD CONSTRAINT "password_resets_user_id_reference" FOREIGN KEY ("organization_id","user_id") REFERENCES "public"."users"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "idx_invitations_deleted" ON "invitations" USING btree ("organization_id","id") WHERE "invitations"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_invitations_email" ON "invitations" USING btree ("organization_id",email_key("email") collate address_book,"id") WHERE "invitations"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_invitations_role" ON "invitations" USING btree ("organization_id","role" collate address_book,"id") WHERE "invitations"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_invitations_role_id" ON "invitations" USING btree ("organization_id","role_id","id") WHERE "invitations"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_invitations_expires_at" ON "invitations" USING btree ("organization_id","expires_at","id") WHERE "invitations"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_invitations_created_at" ON "invitations" USING btree ("organization_id","created_at","id") WHERE "invitations"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_invitations_updated_at" ON "invitations" USING btree ("organization_id","updated_at","id") WHERE "invitations"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_invitations_user_id" ON "invitations" USING btree ("organization_id","user_id");--> statement-breakpoint
CREATE UNIQUE INDEX "invitations_email_unique" ON "invitations" USING btree ("organization_id",email_key("email")) WHERE "invitations"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "invitations_token_hash_unique" ON "invitations" USING btree ("token_hash") WHERE "invitations"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_password_resets_user" ON "password_resets" USING btree ("organization_id","user_id");--> statement-breakpoint
CREATE INDEX "idx_password_resets_expires_at" ON "password_resets" USING btree ("expires_at");--> statement-breakpoint
CREATE UNIQUE INDEX "password_resets_token_hash_unique" ON "password_resets" USING btree ("token_hash");--> statement-breakpoint
CALL watch_records('invitations', 'invitation', '{token_hash}');
--> statement-breakpoint
CALL measure_indexed_keys();
