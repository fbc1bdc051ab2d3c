CREATE TABLE "api_tokens" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "api_tokens_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"user_id" bigint NOT NULL,
	"name" varchar(100) NOT NULL,
	"scopes" text[] NOT NULL,
	"risk" varchar(20) DEFAULT 'read' NOT NULL,
	"allowed_networks" text[] DEFAULT '{}' NOT NULL,
	"rate_limit" integer,
	"expires_at" timestamp(3) with time zone,
	"last_used_at" timestamp(3) with time zone,
	"secret_hash" varchar(64) NOT NULL,
	"previous_hash" varchar(64),
	"previous_until" timestamp(3) with time zone,
	CONSTRAINT "api_tokens_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "kind" varchar(10) DEFAULT 'person' NOT NULL;--> statement-breakpoint
ALTER TABLE "api_tokens" ADD CONSTRAINT "api_tokens_user_id_reference" FOREIGN KEY ("organization_id","user_id") REFERENCES "public"."users"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "idx_api_tokens_deleted" ON "api_tokens" USING btree ("organization_id","id") WHERE "api_tokens"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_api_tokens_name" ON "api_tokens" USING btree ("organization_id","name" collate address_book,"id") WHERE "api_tokens"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_api_tokens_user_id" ON "api_tokens" USING btree ("organization_id","user_id","id") WHERE "api_tokens"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_api_tokens_expires_at" ON "api_tokens" USING btree ("organization_id","expires_at","id") WHERE "api_tokens"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_api_tokens_created_at" ON "api_tokens" USING btree ("organization_id","created_at","id") WHERE "api_tokens"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_api_tokens_updated_at" ON "api_tokens" USING btree ("organization_id","updated_at","id") WHERE "api_tokens"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "api_tokens_secret_unique" ON "api_tokens" USING btree ("secret_hash");--> statement-breakpoint
CREATE INDEX "idx_api_tokens_previous" ON "api_tokens" USING btree ("previous_hash") WHERE previous_hash is not null;--> statement-breakpoint
CREATE INDEX "idx_users_kind" ON "users" USING btree ("organization_id",array_position(array['person', 'service']::text[], "kind"::text),"id") WHERE "users"."deleted_at" is null;--> statement-breakpoint
-- Notes that a token was used, unless that was noted less than a minute ago or is being noted: it is no change of the token.
CREATE FUNCTION touch_api_token(organization bigint, token bigint, last_used timestamptz) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF last_used > now() - interval '1 minute' THEN
    RETURN;
  END IF;
  UPDATE api_tokens SET last_used_at = now() WHERE (organization_id, id) IN (
    SELECT organization_id, id FROM api_tokens WHERE organization_id = organization AND id = token FOR NO KEY UPDATE SKIP LOCKED);
END $$;
--> statement-breakpoint
CALL watch_records('api_tokens', 'api_token', '{secret_hash,previous_hash}', '{last_used_at}');
--> statement-breakpoint
CALL measure_indexed_keys();
