CREATE TABLE "external_ids" (
	"organization_id" bigint NOT NULL,
	"type" varchar(40) NOT NULL,
	"record_id" bigint NOT NULL,
	"source" varchar(40) NOT NULL,
	"value" varchar(255) NOT NULL,
	"is_deleted" boolean NOT NULL,
	CONSTRAINT "external_ids_key" PRIMARY KEY("organization_id","type","record_id","source")
);
--> statement-breakpoint
ALTER TABLE "accounts" ADD COLUMN "external_ids" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "activities" ADD COLUMN "external_ids" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "contacts" ADD COLUMN "external_ids" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "leads" ADD COLUMN "external_ids" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "tags" ADD COLUMN "external_ids" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "campaigns" ADD COLUMN "external_ids" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "opportunities" ADD COLUMN "external_ids" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "external_ids_value_unique" ON "external_ids" USING btree ("organization_id","type","source","value",(case when "is_deleted" then "record_id" else 0 end));--> statement-breakpoint
-- Keeps the rows of a record: those of its column `external_ids`. It waits for who is about to take the same external ID. An error
-- names the source, as that of a unique index on the record table would name a column, and not the record that has the ID. Plans are
-- kept from when the table was small: none may scan it.
CREATE FUNCTION record_external_ids() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
  subject constant text := tg_argv[0];
  given_ids int;
  added int;
  taken text;
BEGIN
  IF tg_op = 'DELETE' THEN
    DELETE FROM external_ids WHERE organization_id = old.organization_id AND type = subject AND record_id = old.id;
    RETURN NULL;
  END IF;
  given_ids := (SELECT count(*) FROM jsonb_object_keys(new.external_ids));
  IF given_ids > 20 THEN
    RAISE EXCEPTION 'too many external IDs' USING ERRCODE = 'check_violation', TABLE = tg_table_name,
      CONSTRAINT = tg_table_name || '_external_ids_check', HINT = 'A record has external IDs of at most 20 sources.';
  END IF;
  IF tg_op = 'UPDATE' THEN
    DELETE FROM external_ids WHERE organization_id = new.organization_id AND type = subject AND record_id = new.id
      AND (value, is_deleted) IS DISTINCT FROM (new.external_ids ->> source, new.deleted_at IS NOT NULL);
  END IF;
  INSERT INTO external_ids (organization_id, type, record_id, source, value, is_deleted)
  SELECT new.organization_id, subject, new.id, given.key, given.value, new.deleted_at IS NOT NULL
  FROM jsonb_each_text(new.external_ids) given
  -- in one order, so that two writers never wait for each other
  ORDER BY given.key
  ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS added = ROW_COUNT;
  -- what was not added was there before, or is taken; a new record had none, and reads nothing
  IF added < given_ids AND (SELECT count(*) FROM external_ids WHERE organization_id = new.organization_id AND type = subject AND record_id = new.id) < given_ids THEN
    SELECT given.key INTO taken FROM jsonb_object_keys(new.external_ids) given (key)
    WHERE given.key NOT IN (
      SELECT source FROM external_ids WHERE organization_id = new.organization_id AND type = subject AND record_id = new.id)
    ORDER BY given.key LIMIT 1;
    RAISE EXCEPTION 'the external ID of % is taken', taken USING ERRCODE = 'unique_violation', TABLE = tg_table_name,
      CONSTRAINT = format('%s_external_ids/%s_unique', tg_table_name, taken);
  END IF;
  RETURN NULL;
END $$;
--> statement-breakpoint
-- Every migration that gives a record table the column `external_ids` calls this once for it. The conditions are evaluated without a
-- call of the function: rows without external IDs cost nothing.
CREATE PROCEDURE watch_external_ids(watched regclass, subject text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER external_ids_of_insert AFTER INSERT ON %s FOR EACH ROW WHEN (new.external_ids <> ''{}'') EXECUTE FUNCTION record_external_ids(%L)', watched, subject);
  EXECUTE format('CREATE TRIGGER external_ids_of_update AFTER UPDATE ON %s FOR EACH ROW WHEN ((old.external_ids <> ''{}'' OR new.external_ids <> ''{}'') AND (old.external_ids, old.deleted_at) IS DISTINCT FROM (new.external_ids, new.deleted_at)) EXECUTE FUNCTION record_external_ids(%L)', watched, subject);
  EXECUTE format('CREATE TRIGGER external_ids_of_delete AFTER DELETE ON %s FOR EACH ROW WHEN (old.external_ids <> ''{}'') EXECUTE FUNCTION record_external_ids(%L)', watched, subject);
END $$;
--> statement-breakpoint
CALL watch_external_ids('accounts', 'account');
--> statement-breakpoint
CALL watch_external_ids('activities', 'activity');
--> statement-breakpoint
CALL watch_external_ids('campaigns', 'campaign');
--> statement-breakpoint
CALL watch_external_ids('contacts', 'contact');
--> statement-breakpoint
CALL watch_external_ids('leads', 'lead');
--> statement-breakpoint
CALL watch_external_ids('opportunities', 'opportunity');
--> statement-breakpoint
CALL watch_external_ids('tags', 'tag');
--> statement-breakpoint
CALL measure_indexed_keys();
