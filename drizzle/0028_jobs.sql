CREATE TABLE "jobs" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "jobs_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"kind" text NOT NULL,
	"state" text DEFAULT 'waiting' NOT NULL,
	"done" integer DEFAULT 0 NOT NULL,
	"total" integer,
	"result" jsonb,
	"error" jsonb,
	"operation_id" bigint,
	"created_by" bigint,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"started_at" timestamp(3) with time zone,
	"ended_at" timestamp(3) with time zone,
	"key" text,
	"payload" jsonb NOT NULL,
	"batch" integer DEFAULT 0 NOT NULL,
	CONSTRAINT "jobs_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
CREATE INDEX "idx_jobs_created_by" ON "jobs" USING btree ("organization_id","created_by","id");--> statement-breakpoint
CREATE INDEX "idx_jobs_kind" ON "jobs" USING btree ("organization_id","kind","id");--> statement-breakpoint
CREATE INDEX "idx_jobs_state" ON "jobs" USING btree ("organization_id","state","id");--> statement-breakpoint
CREATE INDEX "idx_jobs_ended_at" ON "jobs" USING btree ("ended_at") WHERE ended_at is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "jobs_key_unique" ON "jobs" USING btree ("organization_id","key") WHERE ended_at is null;