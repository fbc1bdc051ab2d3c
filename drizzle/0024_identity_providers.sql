CREATE TABLE "identity_providers" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "identity_providers_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"name" varchar(100) NOT NULL,
	"issuer" varchar(500) NOT NULL,
	"client_id" varchar(200) NOT NULL,
	"encrypted_secret" text NOT NULL,
	"scopes" text[] DEFAULT '{}' NOT NULL,
	"allowed_domains" text[] NOT NULL,
	"trusts_email" boolean DEFAULT false NOT NULL,
	"role_claim" varchar(200),
	"role_mapping" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"default_role_id" bigint,
	"enforce" boolean DEFAULT false NOT NULL,
	"is_active" boolean DEFAULT true NOT NULL,
	CONSTRAINT "identity_providers_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
CREATE TABLE "external_identities" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "external_identities_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"provider_id" bigint NOT NULL,
	"user_id" bigint NOT NULL,
	"subject" varchar(255) NOT NULL,
	"email" varchar(120) NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"last_used_at" timestamp(3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sign_in_codes" (
	"hash" varchar(64) PRIMARY KEY NOT NULL,
	"organization_id" bigint NOT NULL,
	"provider_id" bigint NOT NULL,
	"user_id" bigint NOT NULL,
	"code_challenge" varchar(43) NOT NULL,
	"expires_at" timestamp(3) with time zone DEFAULT now() + interval '60 seconds' NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sign_ins" (
	"hash" varchar(64) PRIMARY KEY NOT NULL,
	"organization_id" bigint NOT NULL,
	"provider_id" bigint NOT NULL,
	"browser_hash" varchar(64) NOT NULL,
	"return_to" text NOT NULL,
	"code_challenge" varchar(43) NOT NULL,
	"expires_at" timestamp(3) with time zone DEFAULT now() + interval '10 minutes' NOT NULL
);
--> statement-breakpoint
ALTER TABLE "sessions" ADD COLUMN "by_provider" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "identity_providers" ADD CONSTRAINT "identity_providers_default_role_id_reference" FOREIGN KEY ("organization_id","default_role_id") REFERENCES "public"."roles"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "external_identities" ADD CONSTRAINT "external_identities_provider_id_reference" FOREIGN KEY ("organization_id","provider_id") REFERENCES "public"."identity_providers"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "external_identities" ADD CONSTRAINT "external_identities_user_id_reference" FOREIGN KEY ("organization_id","user_id") REFERENCES "public"."users"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sign_in_codes" ADD CONSTRAINT "sign_in_codes_provider_id_reference" FOREIGN KEY ("organization_id","provider_id") REFERENCES "public"."identity_providers"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sign_in_codes" ADD CONSTRAINT "sign_in_codes_user_id_reference" FOREIGN KEY ("organization_id","user_id") REFERENCES "public"."users"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sign_ins" ADD CONSTRAINT "sign_ins_provider_id_reference" FOREIGN KEY ("organization_id","provider_id") REFERENCES "public"."identity_providers"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "idx_identity_providers_deleted" ON "identity_providers" USING btree ("organization_id","id") WHERE "identity_providers"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_identity_providers_name" ON "identity_providers" USING btree ("organization_id","name" collate address_book,"id") WHERE "identity_providers"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_identity_providers_created_at" ON "identity_providers" USING btree ("organization_id","created_at","id") WHERE "identity_providers"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_identity_providers_updated_at" ON "identity_providers" USING btree ("organization_id","updated_at","id") WHERE "identity_providers"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_identity_providers_default_role_id" ON "identity_providers" USING btree ("organization_id","default_role_id");--> statement-breakpoint
CREATE UNIQUE INDEX "identity_providers_name_unique" ON "identity_providers" USING btree ("organization_id",lower("name")) WHERE "identity_providers"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "external_identities_subject_unique" ON "external_identities" USING btree ("organization_id","provider_id","subject");--> statement-breakpoint
CREATE UNIQUE INDEX "external_identities_user_unique" ON "external_identities" USING btree ("organization_id","user_id","provider_id");--> statement-breakpoint
CREATE INDEX "idx_sign_in_codes_provider" ON "sign_in_codes" USING btree ("organization_id","provider_id");--> statement-breakpoint
CREATE INDEX "idx_sign_in_codes_user" ON "sign_in_codes" USING btree ("organization_id","user_id");--> statement-breakpoint
CREATE INDEX "idx_sign_in_codes_expires_at" ON "sign_in_codes" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "idx_sign_ins_provider" ON "sign_ins" USING btree ("organization_id","provider_id");--> statement-breakpoint
CREATE INDEX "idx_sign_ins_expires_at" ON "sign_ins" USING btree ("expires_at");--> statement-breakpoint
CALL watch_records('identity_providers', 'identity_provider', '{encrypted_secret}');
--> statement-breakpoint
CALL measure_indexed_keys();
