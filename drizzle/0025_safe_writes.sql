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
CREATE INDEX "idx_idempotency_keys_created_at" ON "idempotency_keys" USING brin ("created_at");--> statement-breakpoint
-- Locks a key until the end of the transaction, which fails if the key is in use or has a response.
CREATE FUNCTION claim_idempotency_key(organization bigint, owner text, name text, oldest timestamptz) RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
begin
  if not pg_try_advisory_xact_lock(hashtextextended(concat('idempotency/', owner, '/', name), organization)) then
    raise exception 'the key is in use' using errcode = 'SX001';
  end if;
  -- in a statement of its own, whose snapshot is of after the lock: it sees what the last holder has committed
  if exists (select from idempotency_keys k where organization_id = organization and credential = owner and k.key = name and created_at > oldest) then
    raise exception 'the key is taken' using errcode = 'SX001';
  end if;
end $$;
