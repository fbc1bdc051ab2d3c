ALTER TABLE "sessions" ADD COLUMN "last_used_at" timestamp(3) with time zone DEFAULT now() NOT NULL;--> statement-breakpoint
ALTER TABLE "sessions" ADD COLUMN "address" varchar(45);--> statement-breakpoint
ALTER TABLE "sessions" ADD COLUMN "client" varchar(200);--> statement-breakpoint
UPDATE sessions SET last_used_at = coalesce(
  (SELECT max(used_at) FROM refresh_tokens WHERE session_id = sessions.id), created_at);
