CREATE TABLE "idempotency_keys" (
	"organization_id" bigint NOT NULL,
	"credential" text NOT NULL,
	"key" text NOT NULL,
	"method" text NOT NULL,
	"path" text NOT NULL,
	"request" "bytea" NOT NULL,
	"status" integer NOT NULL,
	"headers" jsonb NOT NULL,
	"encrypted_body" text,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "idempotency_keys_key" PRIMARY KEY("organization_id","credential","key")
);
--> statement-breakpoint
ALTER TABLE "api_tokens" ADD COLUMN "require_plan" boolean DEFAULT false NOT NULL;--> statement-breakpoint
CREATE INDEX "idx_idempotency_keys_created_at" ON "idempotency_keys" USING brin ("created_at");