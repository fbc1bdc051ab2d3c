CREATE TABLE "accounts" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "accounts_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"name" varchar(200) NOT NULL,
	"industry" varchar(100),
	"website" varchar(255),
	"phone" varchar(20),
	"email" varchar(120),
	"address" varchar(255),
	"city" varchar(100),
	"state" varchar(100),
	"country" varchar(100),
	"postal_code" varchar(20),
	"annual_revenue" numeric(15, 2),
	"employee_count" integer,
	"status" varchar(20) DEFAULT 'active' NOT NULL,
	"type" varchar(20) DEFAULT 'prospect' NOT NULL,
	"parent_account_id" bigint,
	"assigned_to" bigint,
	"search_text" text GENERATED ALWAYS AS (search_text("name", "website", "email", "phone", "city")) STORED NOT NULL,
	CONSTRAINT "accounts_key" PRIMARY KEY("organization_id","id"),
	CONSTRAINT "accounts_annual_revenue_check" CHECK ("accounts"."annual_revenue" >= 0),
	CONSTRAINT "accounts_employee_count_check" CHECK ("accounts"."employee_count" >= 0)
);
--> statement-breakpoint
CREATE TABLE "login_attempts" (
	"kind" varchar(10) NOT NULL,
	"subject" varchar(120) NOT NULL,
	"attempts" integer NOT NULL,
	"window_ends_at" timestamp(3) with time zone NOT NULL,
	CONSTRAINT "login_attempts_key" PRIMARY KEY("kind","subject")
);
--> statement-breakpoint
CREATE TABLE "refresh_tokens" (
	"hash" varchar(64) PRIMARY KEY NOT NULL,
	"session_id" bigint NOT NULL,
	"used_at" timestamp(3) with time zone
);
--> statement-breakpoint
CREATE TABLE "sessions" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "sessions_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"user_id" bigint NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp(3) with time zone NOT NULL,
	"revoked_at" timestamp(3) with time zone
);
--> statement-breakpoint
CREATE TABLE "contacts" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "contacts_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"first_name" varchar(50) NOT NULL,
	"last_name" varchar(50) NOT NULL,
	"email" varchar(120),
	"phone" varchar(20),
	"company" varchar(100),
	"position" varchar(100),
	"account_id" bigint,
	"search_text" text GENERATED ALWAYS AS (search_text("first_name", "last_name", "email", "phone", "company")) STORED NOT NULL,
	CONSTRAINT "contacts_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
CREATE TABLE "leads" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "leads_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"contact_id" bigint,
	"source" varchar(50),
	"status" varchar(20) DEFAULT 'new' NOT NULL,
	"score" integer DEFAULT 0 NOT NULL,
	"assigned_to" bigint,
	CONSTRAINT "leads_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
CREATE TABLE "opportunities" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "opportunities_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"lead_id" bigint,
	"account_id" bigint,
	"title" varchar(200) NOT NULL,
	"amount" numeric(10, 2),
	"stage" varchar(50) DEFAULT 'prospecting' NOT NULL,
	"probability" integer DEFAULT 0 NOT NULL,
	"close_date" date,
	"assigned_to" bigint,
	"search_text" text GENERATED ALWAYS AS (search_text("title")) STORED NOT NULL,
	CONSTRAINT "opportunities_key" PRIMARY KEY("organization_id","id"),
	CONSTRAINT "opportunities_amount_check" CHECK ("opportunities"."amount" >= 0),
	CONSTRAINT "opportunities_probability_check" CHECK ("opportunities"."probability" between 0 and 100)
);
--> statement-breakpoint
CREATE TABLE "organizations" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "organizations_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"name" varchar(200) NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "users" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "users_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"username" varchar(80) NOT NULL,
	"email" varchar(120) NOT NULL,
	"password_hash" varchar(255) NOT NULL,
	"role" varchar(20) DEFAULT 'user' NOT NULL,
	"status" varchar(20) DEFAULT 'active' NOT NULL,
	"search_text" text GENERATED ALWAYS AS (search_text("username", "email")) STORED NOT NULL,
	CONSTRAINT "users_key" PRIMARY KEY("organization_id","id"),
	CONSTRAINT "users_username_check" CHECK (position('@' in "users"."username") = 0 or lower("users"."username") = lower("users"."email"))
);
--> statement-breakpoint
CREATE TABLE "events" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "events_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"xid" "xid8" DEFAULT pg_current_xact_id() NOT NULL,
	"organization_id" bigint NOT NULL,
	"type" varchar(60) NOT NULL,
	"subject_type" varchar(40) NOT NULL,
	"subject_id" bigint NOT NULL,
	"actor_id" bigint,
	"changed" text[] NOT NULL,
	"before" jsonb,
	"after" jsonb,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "events_key" PRIMARY KEY("organization_id","xid","id")
);
--> statement-breakpoint
ALTER TABLE "accounts" ADD CONSTRAINT "accounts_parent_account_id_reference" FOREIGN KEY ("organization_id","parent_account_id") REFERENCES "public"."accounts"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "accounts" ADD CONSTRAINT "accounts_assigned_to_reference" FOREIGN KEY ("organization_id","assigned_to") REFERENCES "public"."users"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "refresh_tokens" ADD CONSTRAINT "refresh_tokens_session_id_sessions_id_fk" FOREIGN KEY ("session_id") REFERENCES "public"."sessions"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_user_id_reference" FOREIGN KEY ("organization_id","user_id") REFERENCES "public"."users"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "contacts" ADD CONSTRAINT "contacts_account_id_reference" FOREIGN KEY ("organization_id","account_id") REFERENCES "public"."accounts"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "leads" ADD CONSTRAINT "leads_contact_id_reference" FOREIGN KEY ("organization_id","contact_id") REFERENCES "public"."contacts"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "leads" ADD CONSTRAINT "leads_assigned_to_reference" FOREIGN KEY ("organization_id","assigned_to") REFERENCES "public"."users"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "opportunities" ADD CONSTRAINT "opportunities_lead_id_reference" FOREIGN KEY ("organization_id","lead_id") REFERENCES "public"."leads"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "opportunities" ADD CONSTRAINT "opportunities_account_id_reference" FOREIGN KEY ("organization_id","account_id") REFERENCES "public"."accounts"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "opportunities" ADD CONSTRAINT "opportunities_assigned_to_reference" FOREIGN KEY ("organization_id","assigned_to") REFERENCES "public"."users"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "idx_accounts_deleted" ON "accounts" USING btree ("organization_id","id") WHERE "accounts"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_accounts_search" ON "accounts" USING gin ("organization_id" int8_ops,"search_text" gin_trgm_ops) WITH (gin_pending_list_limit=512) WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_name" ON "accounts" USING btree ("organization_id","name","id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_industry" ON "accounts" USING btree ("organization_id","industry","id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_city" ON "accounts" USING btree ("organization_id","city","id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_country" ON "accounts" USING btree ("organization_id","country","id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_status" ON "accounts" USING btree ("organization_id","status","id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_type" ON "accounts" USING btree ("organization_id","type","id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_annual_revenue" ON "accounts" USING btree ("organization_id","annual_revenue","id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_employee_count" ON "accounts" USING btree ("organization_id","employee_count","id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_parent_account_id" ON "accounts" USING btree ("organization_id","parent_account_id","id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_assigned_to" ON "accounts" USING btree ("organization_id","assigned_to","id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_created_at" ON "accounts" USING btree ("organization_id","created_at","id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_accounts_updated_at" ON "accounts" USING btree ("organization_id","updated_at","id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_login_attempts_window_ends_at" ON "login_attempts" USING btree ("window_ends_at");--> statement-breakpoint
CREATE INDEX "idx_refresh_tokens_session" ON "refresh_tokens" USING btree ("session_id");--> statement-breakpoint
CREATE INDEX "idx_sessions_user" ON "sessions" USING btree ("organization_id","user_id") WHERE revoked_at is null;--> statement-breakpoint
CREATE INDEX "idx_sessions_expires_at" ON "sessions" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "idx_contacts_deleted" ON "contacts" USING btree ("organization_id","id") WHERE "contacts"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_contacts_search" ON "contacts" USING gin ("organization_id" int8_ops,"search_text" gin_trgm_ops) WITH (gin_pending_list_limit=512) WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_first_name" ON "contacts" USING btree ("organization_id","first_name","id") WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_last_name" ON "contacts" USING btree ("organization_id","last_name","id") WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_position" ON "contacts" USING btree ("organization_id","position","id") WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_email" ON "contacts" USING btree ("organization_id","email","id") WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_phone" ON "contacts" USING btree ("organization_id","phone","id") WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_company" ON "contacts" USING btree ("organization_id","company","id") WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_account_id" ON "contacts" USING btree ("organization_id","account_id","id") WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_created_by" ON "contacts" USING btree ("organization_id","created_by","id") WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_created_at" ON "contacts" USING btree ("organization_id","created_at","id") WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_updated_at" ON "contacts" USING btree ("organization_id","updated_at","id") WHERE "contacts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_leads_deleted" ON "leads" USING btree ("organization_id","id") WHERE "leads"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_leads_contact_id" ON "leads" USING btree ("organization_id","contact_id","id") WHERE "leads"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_leads_source" ON "leads" USING btree ("organization_id","source","id") WHERE "leads"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_leads_status" ON "leads" USING btree ("organization_id","status","id") WHERE "leads"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_leads_score" ON "leads" USING btree ("organization_id","score","id") WHERE "leads"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_leads_assigned_to" ON "leads" USING btree ("organization_id","assigned_to","id") WHERE "leads"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_leads_created_at" ON "leads" USING btree ("organization_id","created_at","id") WHERE "leads"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_leads_updated_at" ON "leads" USING btree ("organization_id","updated_at","id") WHERE "leads"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_deleted" ON "opportunities" USING btree ("organization_id","id") WHERE "opportunities"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_search" ON "opportunities" USING gin ("organization_id" int8_ops,"search_text" gin_trgm_ops) WITH (gin_pending_list_limit=512) WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_lead_id" ON "opportunities" USING btree ("organization_id","lead_id","id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_account_id" ON "opportunities" USING btree ("organization_id","account_id","id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_title" ON "opportunities" USING btree ("organization_id","title","id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_amount" ON "opportunities" USING btree ("organization_id","amount","id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_stage" ON "opportunities" USING btree ("organization_id","stage","id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_probability" ON "opportunities" USING btree ("organization_id","probability","id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_close_date" ON "opportunities" USING btree ("organization_id","close_date","id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_assigned_to" ON "opportunities" USING btree ("organization_id","assigned_to","id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_created_at" ON "opportunities" USING btree ("organization_id","created_at","id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_updated_at" ON "opportunities" USING btree ("organization_id","updated_at","id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_users_deleted" ON "users" USING btree ("organization_id","id") WHERE "users"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_users_search" ON "users" USING gin ("organization_id" int8_ops,"search_text" gin_trgm_ops) WITH (gin_pending_list_limit=512) WHERE "users"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_users_username" ON "users" USING btree ("organization_id","username","id") WHERE "users"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_users_email" ON "users" USING btree ("organization_id","email","id") WHERE "users"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_users_role" ON "users" USING btree ("organization_id","role","id") WHERE "users"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_users_status" ON "users" USING btree ("organization_id","status","id") WHERE "users"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_users_created_at" ON "users" USING btree ("organization_id","created_at","id") WHERE "users"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_users_updated_at" ON "users" USING btree ("organization_id","updated_at","id") WHERE "users"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "users_username_unique" ON "users" USING btree (lower("username")) WHERE deleted_at is null;--> statement-breakpoint
CREATE UNIQUE INDEX "users_email_unique" ON "users" USING btree (lower("email")) WHERE deleted_at is null;--> statement-breakpoint
CREATE INDEX "idx_events_subject" ON "events" USING btree ("organization_id","subject_type","subject_id","id");