CREATE TABLE "exports" (
	"organization_id" bigint NOT NULL,
	"id" bigint NOT NULL,
	"types" text[] NOT NULL,
	"filter" text,
	"format" text NOT NULL,
	"with_cursor" boolean NOT NULL,
	"created_by" bigint,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp(3) with time zone DEFAULT now() + interval '7 days' NOT NULL,
	"is_open" boolean DEFAULT true NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"lease" text,
	"leased_until" timestamp(3) with time zone,
	"file" text,
	"cursor" text,
	"rows" integer,
	"bytes" bigint,
	"sha256" text,
	"rights" jsonb,
	CONSTRAINT "exports_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
CREATE INDEX "idx_exports_open" ON "exports" USING btree ("id") WHERE is_open;--> statement-breakpoint
CREATE INDEX "idx_exports_expires_at" ON "exports" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "idx_exports_file" ON "exports" USING btree ("file") WHERE file is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "exports_running_unique" ON "exports" USING btree ("organization_id") WHERE lease is not null;