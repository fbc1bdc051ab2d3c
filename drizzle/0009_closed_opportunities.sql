-- The status of an opportunity is what its stage means, and it is closed if it is not open: releases that do not know
-- this can no longer write anything else. Rows that they have left are corrected, with an event each.
LOCK TABLE opportunities, stages IN SHARE ROW EXCLUSIVE MODE;
--> statement-breakpoint
UPDATE opportunities o SET status = s.kind,
  closed_at = CASE WHEN s.kind <> 'open' THEN coalesce(o.closed_at, o.moved_at) END,
  probability = CASE s.kind WHEN 'won' THEN 100 WHEN 'lost' THEN 0 ELSE o.probability END,
  lost_reason = CASE s.kind WHEN 'lost' THEN o.lost_reason END,
  version = o.version + 1, updated_at = now(), updated_by = NULL
FROM stages s
WHERE s.organization_id = o.organization_id AND s.pipeline_id = o.pipeline_id AND s.key = o.stage
  AND (o.status <> s.kind OR (o.closed_at IS NULL) <> (s.kind = 'open'));
--> statement-breakpoint
ALTER TABLE "opportunities" ADD CONSTRAINT "opportunities_closed_at_check" CHECK (("opportunities"."closed_at" is null) = ("opportunities"."status" = 'open'));
--> statement-breakpoint
-- A check constraint sees one table only. A deleted opportunity keeps its status, so it takes that of its stage when it is restored.
CREATE FUNCTION status_follows_stage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  meaning text;
BEGIN
  SELECT kind INTO meaning FROM stages WHERE organization_id = new.organization_id AND pipeline_id = new.pipeline_id AND key = new.stage;
  IF new.status = meaning THEN
    RETURN new;
  END IF;
  IF tg_op = 'UPDATE' THEN
    IF old.deleted_at IS NOT NULL THEN
      new.status := meaning;
      new.closed_at := CASE WHEN meaning <> 'open' THEN coalesce(new.closed_at, clock_timestamp()) END;
      new.probability := CASE meaning WHEN 'won' THEN 100 WHEN 'lost' THEN 0 ELSE new.probability END;
      new.lost_reason := CASE meaning WHEN 'lost' THEN new.lost_reason END;
      RETURN new;
    END IF;
  END IF;
  RAISE check_violation USING MESSAGE = format('an opportunity in the stage %s cannot be %s', new.stage, new.status), TABLE = 'opportunities', CONSTRAINT = 'opportunities_status_check';
END $$;
--> statement-breakpoint
CREATE TRIGGER status_follows_stage BEFORE INSERT OR UPDATE OF pipeline_id, stage, status, deleted_at ON opportunities FOR EACH ROW WHEN (new.deleted_at IS NULL) EXECUTE FUNCTION status_follows_stage();
