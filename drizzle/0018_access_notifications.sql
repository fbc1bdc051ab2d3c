-- What users may do is kept by each process for some seconds. When it changes, by whatever program, all of them look it up anew.
CREATE FUNCTION announce_access() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('access', new.organization_id::text);
  RETURN null;
END $$;
--> statement-breakpoint
CREATE TRIGGER announce_users AFTER UPDATE ON users FOR EACH ROW
  WHEN ((old.status, old.deleted_at, old.role_ids) IS DISTINCT FROM (new.status, new.deleted_at, new.role_ids))
  EXECUTE FUNCTION announce_access();
--> statement-breakpoint
CREATE TRIGGER announce_roles AFTER UPDATE ON roles FOR EACH ROW
  WHEN ((old.grants, old.deleted_at) IS DISTINCT FROM (new.grants, new.deleted_at)) EXECUTE FUNCTION announce_access();
--> statement-breakpoint
CREATE TRIGGER announce_teams AFTER INSERT OR UPDATE ON teams FOR EACH ROW EXECUTE FUNCTION announce_access();
--> statement-breakpoint
CREATE TRIGGER announce_sessions AFTER UPDATE ON sessions FOR EACH ROW
  WHEN (old.revoked_at IS DISTINCT FROM new.revoked_at) EXECUTE FUNCTION announce_access();
--> statement-breakpoint
-- not for a use, which is no new version
CREATE TRIGGER announce_api_tokens AFTER UPDATE ON api_tokens FOR EACH ROW
  WHEN (old.version IS DISTINCT FROM new.version) EXECUTE FUNCTION announce_access();
