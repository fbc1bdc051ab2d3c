CREATE TABLE "integrations" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "integrations_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"name" varchar(100) NOT NULL,
	"kind" varchar(40) NOT NULL,
	"description" varchar(500),
	"api_token_id" bigint,
	"webhook_ids" bigint[] DEFAULT '{}' NOT NULL,
	"is_active" boolean DEFAULT true NOT NULL,
	"cursor" varchar(40),
	"acknowledged_at" timestamp(3) with time zone,
	CONSTRAINT "integrations_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
ALTER TABLE "integrations" ADD CONSTRAINT "integrations_api_token_id_reference" FOREIGN KEY ("organization_id","api_token_id") REFERENCES "public"."api_tokens"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "idx_integrations_deleted" ON "integrations" USING btree ("organization_id","id") WHERE "integrations"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_integrations_name" ON "integrations" USING btree ("organization_id","name" collate address_book,"id") WHERE "integrations"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_integrations_kind" ON "integrations" USING btree ("organization_id","kind" collate address_book,"id") WHERE "integrations"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_integrations_api_token_id" ON "integrations" USING btree ("organization_id","api_token_id","id") WHERE "integrations"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_integrations_is_active" ON "integrations" USING btree ("organization_id","is_active","id") WHERE "integrations"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_integrations_created_at" ON "integrations" USING btree ("organization_id","created_at","id") WHERE "integrations"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_integrations_updated_at" ON "integrations" USING btree ("organization_id","updated_at","id") WHERE "integrations"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_integrations_webhook_ids" ON "integrations" USING gin ("organization_id" int8_ops,"webhook_ids") WHERE "integrations"."deleted_at" is null and "integrations"."webhook_ids" <> '{}';--> statement-breakpoint
CREATE UNIQUE INDEX "integrations_name_unique" ON "integrations" USING btree ("organization_id",lower("name")) WHERE "integrations"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "integrations_api_token_id_unique" ON "integrations" USING btree ("organization_id","api_token_id") WHERE "integrations"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_deliveries_retried" ON "deliveries" USING btree ("organization_id","webhook_id","id") WHERE status = 'pending' and attempts > 0;--> statement-breakpoint
CREATE INDEX "idx_events_accesses_of_tokens" ON "events" USING btree ("organization_id","api_token_id","id") WHERE api_token_id is not null and details is not null;
--> statement-breakpoint
-- Notes the place in the feed up to which an integration is done, unless it has been further. Returns whether it did. It is no
-- change of the integration: there is no event, and no new version.
CREATE FUNCTION note_cursor(organization bigint, integration bigint, place text)
RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  UPDATE integrations i SET cursor = place, acknowledged_at = now()
  WHERE i.organization_id = organization AND i.id = integration AND i.deleted_at IS NULL
    AND (i.cursor IS NULL OR split_part(i.cursor, '-', 1)::bigint <= split_part(place, '-', 1)::bigint);
  RETURN FOUND;
END $$;
--> statement-breakpoint
CALL watch_records('integrations', 'integration', '{}', '{cursor,acknowledged_at}');
--> statement-breakpoint
CALL measure_indexed_keys();
