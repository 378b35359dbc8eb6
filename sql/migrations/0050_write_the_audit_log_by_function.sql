-- Functions of the owner: pg_temp stands last in their path, so that no temporary table of the caller
-- passes for one of ours (docs/adr/0051).
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

ALTER FUNCTION refuse_change() SET search_path FROM CURRENT;
ALTER FUNCTION outcomes_as_of(timestamptz) SET search_path FROM CURRENT;

ALTER TABLE audit_log ADD COLUMN database_role text;
COMMENT ON COLUMN audit_log.database_role IS 'Role that was logged in to the database (session_user), whatever done_by says; null in entries of earlier releases';

-- Entries of earlier releases keep the hash that they have.
CREATE OR REPLACE FUNCTION audit_hash(entry audit_log) RETURNS text
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT encode(sha256(convert_to((jsonb_build_array(
        entry.entry_id,
        to_char(entry.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
        entry.done_by, entry.action, entry.subject, entry.details, entry.previous_hash
    ) || CASE WHEN entry.database_role IS NULL THEN '[]' ELSE jsonb_build_array(entry.database_role) END
    )::text, 'UTF8')), 'hex')
$$;

CREATE OR REPLACE FUNCTION chain_audit_entry() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    last audit_log;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(TG_TABLE_SCHEMA || ':audit_log', 0));
    SELECT * INTO last FROM audit_log ORDER BY entry_id DESC LIMIT 1;
    NEW.entry_id := coalesce(last.entry_id, 0) + 1;
    NEW.recorded_at := clock_timestamp();
    NEW.database_role := session_user;
    NEW.previous_hash := coalesce(last.hash, repeat('0', 64));
    NEW.hash := audit_hash(NEW);
    RETURN NEW;
END $$;

CREATE FUNCTION refuse_other_role(acting text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF acting LIKE 'role:%' AND acting <> 'role:' || session_user THEN
        RAISE EXCEPTION '% cannot act as %', session_user, acting
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END $$;
COMMENT ON FUNCTION refuse_other_role IS 'Refuse an acting user role:ROLE that is not the role that is logged in';

CREATE FUNCTION record_audit_entry(acting text, action text, subject text, details jsonb)
RETURNS TABLE (entry_id bigint, recorded_at timestamptz, hash text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
BEGIN
    PERFORM refuse_other_role(acting);
    IF record_audit_entry.action ~ '^(approval|batch|contract|model|partition|portfolio|promotion|rights|scores)\.'
       AND record_audit_entry.action <> 'promotion.denied'
       AND NOT pg_has_role(session_user, current_user, 'USAGE') THEN
        RAISE EXCEPTION 'entries % are written by the function that does the action', action
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN QUERY
        INSERT INTO audit_log AS a (done_by, action, subject, details)
        VALUES (acting, record_audit_entry.action, record_audit_entry.subject,
                record_audit_entry.details)
        RETURNING a.entry_id, a.recorded_at, a.hash;
END $$;
COMMENT ON FUNCTION record_audit_entry IS 'Append an entry to the audit log, of an action that no function of the owner does';
