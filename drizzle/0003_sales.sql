-- opportunities.pipeline_id becomes NOT NULL in 0004, when those that are there have been given one.
CREATE TABLE "activities" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "activities_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"type" varchar(20) NOT NULL,
	"subject" varchar(200) NOT NULL,
	"description" text,
	"status" varchar(20) DEFAULT 'planned' NOT NULL,
	"priority" varchar(10) DEFAULT 'medium' NOT NULL,
	"due_at" timestamp(3) with time zone,
	"completed_at" timestamp(3) with time zone,
	"duration_minutes" integer,
	"location" varchar(255),
	"assigned_to" bigint,
	"links" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"tags" bigint[] DEFAULT '{}' NOT NULL,
	"search_text" text GENERATED ALWAYS AS (search_text("subject", "location")) STORED NOT NULL,
	CONSTRAINT "activities_key" PRIMARY KEY("organization_id","id"),
	CONSTRAINT "activities_duration_minutes_check" CHECK ("activities"."duration_minutes" >= 0)
);
--> statement-breakpoint
CREATE TABLE "activity_links" (
	"organization_id" bigint NOT NULL,
	"activity_id" bigint NOT NULL,
	"position" smallint NOT NULL,
	"contact_id" bigint,
	"lead_id" bigint,
	"account_id" bigint,
	"opportunity_id" bigint,
	"occurred_at" timestamp(3) with time zone NOT NULL,
	CONSTRAINT "activity_links_key" PRIMARY KEY("organization_id","activity_id","position"),
	CONSTRAINT "activity_links_subject_check" CHECK (num_nonnulls("activity_links"."contact_id", "activity_links"."lead_id", "activity_links"."account_id", "activity_links"."opportunity_id") = 1)
);
--> statement-breakpoint
CREATE TABLE "assignment_rules" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "assignment_rules_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"name" varchar(100) NOT NULL,
	"resource" varchar(20) NOT NULL,
	"status" varchar(10) DEFAULT 'draft' NOT NULL,
	"position" integer DEFAULT 0 NOT NULL,
	"filter" varchar(1000) DEFAULT '' NOT NULL,
	"user_id" bigint,
	"team_id" bigint,
	CONSTRAINT "assignment_rules_key" PRIMARY KEY("organization_id","id"),
	CONSTRAINT "assignment_rules_user_id_check" CHECK (num_nonnulls("assignment_rules"."user_id", "assignment_rules"."team_id") = 1)
);
--> statement-breakpoint
CREATE TABLE "campaign_members" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "campaign_members_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"campaign_id" bigint NOT NULL,
	"contact_id" bigint,
	"lead_id" bigint,
	"status" varchar(20) DEFAULT 'added' NOT NULL,
	"responded_at" timestamp(3) with time zone,
	CONSTRAINT "campaign_members_key" PRIMARY KEY("organization_id","id"),
	CONSTRAINT "campaign_members_contact_id_check" CHECK (num_nonnulls("campaign_members"."contact_id", "campaign_members"."lead_id") = 1)
);
--> statement-breakpoint
CREATE TABLE "campaigns" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "campaigns_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"name" varchar(200) NOT NULL,
	"type" varchar(20) DEFAULT 'email' NOT NULL,
	"status" varchar(20) DEFAULT 'planned' NOT NULL,
	"start_date" date,
	"end_date" date,
	"budget" numeric(12, 2),
	"description" text,
	"assigned_to" bigint,
	"tags" bigint[] DEFAULT '{}' NOT NULL,
	"search_text" text GENERATED ALWAYS AS (search_text("name")) STORED NOT NULL,
	CONSTRAINT "campaigns_key" PRIMARY KEY("organization_id","id"),
	CONSTRAINT "campaigns_budget_check" CHECK ("campaigns"."budget" >= 0),
	CONSTRAINT "campaigns_end_date_check" CHECK ("campaigns"."end_date" >= "campaigns"."start_date")
);
--> statement-breakpoint
CREATE TABLE "conversions" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "conversions_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"lead_id" bigint NOT NULL,
	"account_id" bigint,
	"contact_id" bigint,
	"opportunity_id" bigint,
	"lead_before" jsonb NOT NULL,
	"traces" jsonb NOT NULL,
	CONSTRAINT "conversions_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
CREATE TABLE "moves" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "moves_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"subject_type" varchar(20) NOT NULL,
	"subject_id" bigint NOT NULL,
	"pipeline_id" bigint,
	"from_stage" varchar(50),
	"to_stage" varchar(50) NOT NULL,
	"moved_at" timestamp(3) with time zone NOT NULL,
	"actor_id" bigint,
	"seconds" bigint,
	CONSTRAINT "moves_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
CREATE TABLE "pipelines" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "pipelines_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"name" varchar(100) NOT NULL,
	"is_default" boolean DEFAULT false NOT NULL,
	CONSTRAINT "pipelines_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
CREATE TABLE "scoring_models" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "scoring_models_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"name" varchar(100) NOT NULL,
	"status" varchar(10) DEFAULT 'draft' NOT NULL,
	"rules" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"bands" jsonb DEFAULT '{"A":80,"B":60,"C":40}'::jsonb NOT NULL,
	CONSTRAINT "scoring_models_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
CREATE TABLE "stages" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "stages_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"pipeline_id" bigint NOT NULL,
	"key" varchar(50) NOT NULL,
	"name" varchar(100) NOT NULL,
	"position" integer DEFAULT 0 NOT NULL,
	"probability" integer NOT NULL,
	"kind" varchar(10) DEFAULT 'open' NOT NULL,
	"required_fields" text[] DEFAULT '{}' NOT NULL,
	"next_stages" text[],
	CONSTRAINT "stages_key" PRIMARY KEY("organization_id","id"),
	CONSTRAINT "stages_key_unique" UNIQUE("organization_id","pipeline_id","key"),
	CONSTRAINT "stages_probability_check" CHECK ("stages"."probability" between 0 and 100 and ("stages"."kind" = 'open' or "stages"."probability" = case "stages"."kind" when 'won' then 100 else 0 end))
);
--> statement-breakpoint
CREATE TABLE "tags" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "tags_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"name" varchar(50) NOT NULL,
	"color" varchar(7),
	CONSTRAINT "tags_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
CREATE TABLE "team_turns" (
	"organization_id" bigint NOT NULL,
	"team_id" bigint NOT NULL,
	"turns" bigint DEFAULT 0 NOT NULL,
	CONSTRAINT "team_turns_key" PRIMARY KEY("organization_id","team_id")
);
--> statement-breakpoint
CREATE TABLE "teams" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "teams_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"name" varchar(100) NOT NULL,
	"leader_id" bigint,
	"member_ids" bigint[] DEFAULT '{}' NOT NULL,
	CONSTRAINT "teams_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
CREATE TABLE "territories" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "territories_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"organization_id" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"created_by" bigint,
	"updated_at" timestamp(3) with time zone DEFAULT now() NOT NULL,
	"updated_by" bigint,
	"deleted_at" timestamp(3) with time zone,
	"name" varchar(100) NOT NULL,
	"filter" varchar(1000) NOT NULL,
	"team_id" bigint,
	CONSTRAINT "territories_key" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
ALTER TABLE "accounts" ADD COLUMN "tags" bigint[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "contacts" ADD COLUMN "tags" bigint[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "leads" ADD COLUMN "grade" varchar(1);--> statement-breakpoint
ALTER TABLE "leads" ADD COLUMN "unqualified_reason" varchar(500);--> statement-breakpoint
ALTER TABLE "leads" ADD COLUMN "moved_at" timestamp(3) with time zone DEFAULT now() NOT NULL;--> statement-breakpoint
ALTER TABLE "leads" ADD COLUMN "qualified_at" timestamp(3) with time zone;--> statement-breakpoint
ALTER TABLE "leads" ADD COLUMN "converted_at" timestamp(3) with time zone;--> statement-breakpoint
ALTER TABLE "leads" ADD COLUMN "tags" bigint[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "opportunities" ADD COLUMN "pipeline_id" bigint;--> statement-breakpoint
ALTER TABLE "opportunities" ADD COLUMN "status" varchar(10) DEFAULT 'open' NOT NULL;--> statement-breakpoint
ALTER TABLE "opportunities" ADD COLUMN "lost_reason" varchar(500);--> statement-breakpoint
ALTER TABLE "opportunities" ADD COLUMN "moved_at" timestamp(3) with time zone DEFAULT now() NOT NULL;--> statement-breakpoint
ALTER TABLE "opportunities" ADD COLUMN "closed_at" timestamp(3) with time zone;--> statement-breakpoint
ALTER TABLE "opportunities" ADD COLUMN "tags" bigint[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "activities" ADD CONSTRAINT "activities_assigned_to_reference" FOREIGN KEY ("organization_id","assigned_to") REFERENCES "public"."users"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "activity_links" ADD CONSTRAINT "activity_links_activity_id_reference" FOREIGN KEY ("organization_id","activity_id") REFERENCES "public"."activities"("organization_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "activity_links" ADD CONSTRAINT "activity_links_contact_id_reference" FOREIGN KEY ("organization_id","contact_id") REFERENCES "public"."contacts"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "activity_links" ADD CONSTRAINT "activity_links_lead_id_reference" FOREIGN KEY ("organization_id","lead_id") REFERENCES "public"."leads"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "activity_links" ADD CONSTRAINT "activity_links_account_id_reference" FOREIGN KEY ("organization_id","account_id") REFERENCES "public"."accounts"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "activity_links" ADD CONSTRAINT "activity_links_opportunity_id_reference" FOREIGN KEY ("organization_id","opportunity_id") REFERENCES "public"."opportunities"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "assignment_rules" ADD CONSTRAINT "assignment_rules_user_id_reference" FOREIGN KEY ("organization_id","user_id") REFERENCES "public"."users"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "assignment_rules" ADD CONSTRAINT "assignment_rules_team_id_reference" FOREIGN KEY ("organization_id","team_id") REFERENCES "public"."teams"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "campaign_members" ADD CONSTRAINT "campaign_members_campaign_id_reference" FOREIGN KEY ("organization_id","campaign_id") REFERENCES "public"."campaigns"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "campaign_members" ADD CONSTRAINT "campaign_members_contact_id_reference" FOREIGN KEY ("organization_id","contact_id") REFERENCES "public"."contacts"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "campaign_members" ADD CONSTRAINT "campaign_members_lead_id_reference" FOREIGN KEY ("organization_id","lead_id") REFERENCES "public"."leads"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "campaigns" ADD CONSTRAINT "campaigns_assigned_to_reference" FOREIGN KEY ("organization_id","assigned_to") REFERENCES "public"."users"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "conversions" ADD CONSTRAINT "conversions_lead_id_reference" FOREIGN KEY ("organization_id","lead_id") REFERENCES "public"."leads"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "conversions" ADD CONSTRAINT "conversions_account_id_reference" FOREIGN KEY ("organization_id","account_id") REFERENCES "public"."accounts"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "conversions" ADD CONSTRAINT "conversions_contact_id_reference" FOREIGN KEY ("organization_id","contact_id") REFERENCES "public"."contacts"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "conversions" ADD CONSTRAINT "conversions_opportunity_id_reference" FOREIGN KEY ("organization_id","opportunity_id") REFERENCES "public"."opportunities"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "stages" ADD CONSTRAINT "stages_pipeline_id_reference" FOREIGN KEY ("organization_id","pipeline_id") REFERENCES "public"."pipelines"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "team_turns" ADD CONSTRAINT "team_turns_team_id_reference" FOREIGN KEY ("organization_id","team_id") REFERENCES "public"."teams"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "teams" ADD CONSTRAINT "teams_leader_id_reference" FOREIGN KEY ("organization_id","leader_id") REFERENCES "public"."users"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "territories" ADD CONSTRAINT "territories_team_id_reference" FOREIGN KEY ("organization_id","team_id") REFERENCES "public"."teams"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "idx_activities_deleted" ON "activities" USING btree ("organization_id","id") WHERE "activities"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_activities_search" ON "activities" USING gin ("organization_id" int8_ops,"search_text" gin_trgm_ops) WITH (gin_pending_list_limit=512) WHERE "activities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_activities_tags" ON "activities" USING gin ("organization_id" int8_ops,"tags") WHERE "activities"."deleted_at" is null and "activities"."tags" <> '{}';--> statement-breakpoint
CREATE INDEX "idx_activities_type" ON "activities" USING btree ("organization_id","type","id") WHERE "activities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_activities_status" ON "activities" USING btree ("organization_id","status","id") WHERE "activities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_activities_priority" ON "activities" USING btree ("organization_id","priority","id") WHERE "activities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_activities_due_at" ON "activities" USING btree ("organization_id","due_at","id") WHERE "activities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_activities_completed_at" ON "activities" USING btree ("organization_id","completed_at","id") WHERE "activities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_activities_assigned_to" ON "activities" USING btree ("organization_id","assigned_to","id") WHERE "activities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_activities_created_at" ON "activities" USING btree ("organization_id","created_at","id") WHERE "activities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_activities_updated_at" ON "activities" USING btree ("organization_id","updated_at","id") WHERE "activities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_activities_open" ON "activities" USING btree ("organization_id","due_at","id") WHERE "activities"."deleted_at" is null and "activities"."status" in ('planned', 'in_progress');--> statement-breakpoint
CREATE INDEX "idx_activities_report" ON "activities" USING btree ("organization_id","assigned_to","type","status","duration_minutes") WHERE "activities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_activity_links_contact_id" ON "activity_links" USING btree ("organization_id","contact_id","occurred_at","activity_id") WHERE "activity_links"."contact_id" is not null;--> statement-breakpoint
CREATE INDEX "idx_activity_links_contact_id_since" ON "activity_links" USING btree ("organization_id","occurred_at","contact_id") WHERE "activity_links"."contact_id" is not null;--> statement-breakpoint
CREATE INDEX "idx_activity_links_lead_id" ON "activity_links" USING btree ("organization_id","lead_id","occurred_at","activity_id") WHERE "activity_links"."lead_id" is not null;--> statement-breakpoint
CREATE INDEX "idx_activity_links_lead_id_since" ON "activity_links" USING btree ("organization_id","occurred_at","lead_id") WHERE "activity_links"."lead_id" is not null;--> statement-breakpoint
CREATE INDEX "idx_activity_links_account_id" ON "activity_links" USING btree ("organization_id","account_id","occurred_at","activity_id") WHERE "activity_links"."account_id" is not null;--> statement-breakpoint
CREATE INDEX "idx_activity_links_account_id_since" ON "activity_links" USING btree ("organization_id","occurred_at","account_id") WHERE "activity_links"."account_id" is not null;--> statement-breakpoint
CREATE INDEX "idx_activity_links_opportunity_id" ON "activity_links" USING btree ("organization_id","opportunity_id","occurred_at","activity_id") WHERE "activity_links"."opportunity_id" is not null;--> statement-breakpoint
CREATE INDEX "idx_activity_links_opportunity_id_since" ON "activity_links" USING btree ("organization_id","occurred_at","opportunity_id") WHERE "activity_links"."opportunity_id" is not null;--> statement-breakpoint
CREATE INDEX "idx_assignment_rules_deleted" ON "assignment_rules" USING btree ("organization_id","id") WHERE "assignment_rules"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_assignment_rules_position" ON "assignment_rules" USING btree ("organization_id","position","id") WHERE "assignment_rules"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_assignment_rules_user_id" ON "assignment_rules" USING btree ("organization_id","user_id","id") WHERE "assignment_rules"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_assignment_rules_team_id" ON "assignment_rules" USING btree ("organization_id","team_id","id") WHERE "assignment_rules"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_assignment_rules_created_at" ON "assignment_rules" USING btree ("organization_id","created_at","id") WHERE "assignment_rules"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_assignment_rules_updated_at" ON "assignment_rules" USING btree ("organization_id","updated_at","id") WHERE "assignment_rules"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaign_members_deleted" ON "campaign_members" USING btree ("organization_id","id") WHERE "campaign_members"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_campaign_members_campaign_id" ON "campaign_members" USING btree ("organization_id","campaign_id","id") WHERE "campaign_members"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaign_members_contact_id" ON "campaign_members" USING btree ("organization_id","contact_id","id") WHERE "campaign_members"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaign_members_lead_id" ON "campaign_members" USING btree ("organization_id","lead_id","id") WHERE "campaign_members"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaign_members_created_at" ON "campaign_members" USING btree ("organization_id","created_at","id") WHERE "campaign_members"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaign_members_updated_at" ON "campaign_members" USING btree ("organization_id","updated_at","id") WHERE "campaign_members"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaign_members_status" ON "campaign_members" USING btree ("organization_id","campaign_id","status","id") WHERE "campaign_members"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "campaign_members_contact_id_unique" ON "campaign_members" USING btree ("organization_id","campaign_id","contact_id") WHERE "campaign_members"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "campaign_members_lead_id_unique" ON "campaign_members" USING btree ("organization_id","campaign_id","lead_id") WHERE "campaign_members"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaigns_deleted" ON "campaigns" USING btree ("organization_id","id") WHERE "campaigns"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_campaigns_search" ON "campaigns" USING gin ("organization_id" int8_ops,"search_text" gin_trgm_ops) WITH (gin_pending_list_limit=512) WHERE "campaigns"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaigns_tags" ON "campaigns" USING gin ("organization_id" int8_ops,"tags") WHERE "campaigns"."deleted_at" is null and "campaigns"."tags" <> '{}';--> statement-breakpoint
CREATE INDEX "idx_campaigns_name" ON "campaigns" USING btree ("organization_id","name","id") WHERE "campaigns"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaigns_type" ON "campaigns" USING btree ("organization_id","type","id") WHERE "campaigns"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaigns_status" ON "campaigns" USING btree ("organization_id","status","id") WHERE "campaigns"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaigns_start_date" ON "campaigns" USING btree ("organization_id","start_date","id") WHERE "campaigns"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaigns_end_date" ON "campaigns" USING btree ("organization_id","end_date","id") WHERE "campaigns"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaigns_budget" ON "campaigns" USING btree ("organization_id","budget","id") WHERE "campaigns"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaigns_assigned_to" ON "campaigns" USING btree ("organization_id","assigned_to","id") WHERE "campaigns"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaigns_created_at" ON "campaigns" USING btree ("organization_id","created_at","id") WHERE "campaigns"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_campaigns_updated_at" ON "campaigns" USING btree ("organization_id","updated_at","id") WHERE "campaigns"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_conversions_deleted" ON "conversions" USING btree ("organization_id","id") WHERE "conversions"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_conversions_account_id" ON "conversions" USING btree ("organization_id","account_id","id") WHERE "conversions"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_conversions_contact_id" ON "conversions" USING btree ("organization_id","contact_id","id") WHERE "conversions"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_conversions_opportunity_id" ON "conversions" USING btree ("organization_id","opportunity_id","id") WHERE "conversions"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "conversions_lead_id_unique" ON "conversions" USING btree ("organization_id","lead_id") WHERE "conversions"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_moves_subject" ON "moves" USING btree ("organization_id","subject_type","subject_id","id");--> statement-breakpoint
CREATE INDEX "idx_moves_to" ON "moves" USING btree ("organization_id","subject_type","to_stage","subject_id");--> statement-breakpoint
CREATE INDEX "idx_moves_from" ON "moves" USING btree ("organization_id","subject_type","from_stage","seconds","subject_id");--> statement-breakpoint
CREATE INDEX "idx_pipelines_deleted" ON "pipelines" USING btree ("organization_id","id") WHERE "pipelines"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_pipelines_name" ON "pipelines" USING btree ("organization_id","name","id") WHERE "pipelines"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_pipelines_created_at" ON "pipelines" USING btree ("organization_id","created_at","id") WHERE "pipelines"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_pipelines_updated_at" ON "pipelines" USING btree ("organization_id","updated_at","id") WHERE "pipelines"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "pipelines_name_unique" ON "pipelines" USING btree ("organization_id",lower("name")) WHERE "pipelines"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "pipelines_is_default_unique" ON "pipelines" USING btree ("organization_id") WHERE "pipelines"."is_default" and "pipelines"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_scoring_models_deleted" ON "scoring_models" USING btree ("organization_id","id") WHERE "scoring_models"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_scoring_models_name" ON "scoring_models" USING btree ("organization_id","name","id") WHERE "scoring_models"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_scoring_models_created_at" ON "scoring_models" USING btree ("organization_id","created_at","id") WHERE "scoring_models"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_scoring_models_updated_at" ON "scoring_models" USING btree ("organization_id","updated_at","id") WHERE "scoring_models"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "scoring_models_status_unique" ON "scoring_models" USING btree ("organization_id") WHERE "scoring_models"."status" = 'active' and "scoring_models"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_stages_deleted" ON "stages" USING btree ("organization_id","id") WHERE "stages"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_stages_pipeline_id" ON "stages" USING btree ("organization_id","pipeline_id","id") WHERE "stages"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_stages_position" ON "stages" USING btree ("organization_id","position","id") WHERE "stages"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_stages_created_at" ON "stages" USING btree ("organization_id","created_at","id") WHERE "stages"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_stages_updated_at" ON "stages" USING btree ("organization_id","updated_at","id") WHERE "stages"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_tags_deleted" ON "tags" USING btree ("organization_id","id") WHERE "tags"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_tags_name" ON "tags" USING btree ("organization_id","name","id") WHERE "tags"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_tags_created_at" ON "tags" USING btree ("organization_id","created_at","id") WHERE "tags"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_tags_updated_at" ON "tags" USING btree ("organization_id","updated_at","id") WHERE "tags"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "tags_name_unique" ON "tags" USING btree ("organization_id",lower("name")) WHERE "tags"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_teams_deleted" ON "teams" USING btree ("organization_id","id") WHERE "teams"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_teams_name" ON "teams" USING btree ("organization_id","name","id") WHERE "teams"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_teams_leader_id" ON "teams" USING btree ("organization_id","leader_id","id") WHERE "teams"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_teams_created_at" ON "teams" USING btree ("organization_id","created_at","id") WHERE "teams"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_teams_updated_at" ON "teams" USING btree ("organization_id","updated_at","id") WHERE "teams"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "teams_name_unique" ON "teams" USING btree ("organization_id",lower("name")) WHERE "teams"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_territories_deleted" ON "territories" USING btree ("organization_id","id") WHERE "territories"."deleted_at" is not null;--> statement-breakpoint
CREATE INDEX "idx_territories_name" ON "territories" USING btree ("organization_id","name","id") WHERE "territories"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_territories_team_id" ON "territories" USING btree ("organization_id","team_id","id") WHERE "territories"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_territories_created_at" ON "territories" USING btree ("organization_id","created_at","id") WHERE "territories"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_territories_updated_at" ON "territories" USING btree ("organization_id","updated_at","id") WHERE "territories"."deleted_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "territories_name_unique" ON "territories" USING btree ("organization_id",lower("name")) WHERE "territories"."deleted_at" is null;--> statement-breakpoint
ALTER TABLE "opportunities" ADD CONSTRAINT "opportunities_pipeline_id_reference" FOREIGN KEY ("organization_id","pipeline_id") REFERENCES "public"."pipelines"("organization_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "idx_accounts_tags" ON "accounts" USING gin ("organization_id" int8_ops,"tags") WHERE "accounts"."deleted_at" is null and "accounts"."tags" <> '{}';--> statement-breakpoint
CREATE INDEX "idx_accounts_state" ON "accounts" USING btree ("organization_id","state","id") WHERE "accounts"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_contacts_tags" ON "contacts" USING gin ("organization_id" int8_ops,"tags") WHERE "contacts"."deleted_at" is null and "contacts"."tags" <> '{}';--> statement-breakpoint
CREATE INDEX "idx_leads_tags" ON "leads" USING gin ("organization_id" int8_ops,"tags") WHERE "leads"."deleted_at" is null and "leads"."tags" <> '{}';--> statement-breakpoint
CREATE INDEX "idx_leads_grade" ON "leads" USING btree ("organization_id","grade","id") WHERE "leads"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_leads_moved_at" ON "leads" USING btree ("organization_id","moved_at","id") WHERE "leads"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_leads_report" ON "leads" USING btree ("organization_id","source","status","id") WHERE "leads"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_tags" ON "opportunities" USING gin ("organization_id" int8_ops,"tags") WHERE "opportunities"."deleted_at" is null and "opportunities"."tags" <> '{}';--> statement-breakpoint
CREATE INDEX "idx_opportunities_status" ON "opportunities" USING btree ("organization_id","status","id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_moved_at" ON "opportunities" USING btree ("organization_id","moved_at","id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_closed_at" ON "opportunities" USING btree ("organization_id","closed_at","id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_pipeline" ON "opportunities" USING btree ("organization_id","pipeline_id","stage","assigned_to","amount","probability","id") WHERE "opportunities"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "idx_opportunities_forecast" ON "opportunities" USING btree ("organization_id","close_date","status","amount","probability") WHERE "opportunities"."deleted_at" is null;