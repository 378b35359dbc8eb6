SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- The application may not write the state of a run.
ALTER TABLE scoring_runs ALTER COLUMN state SET DEFAULT 'planned';

CREATE FUNCTION hide_scores(batch text, why text, acting text) RETURNS bigint
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    publication bigint;
BEGIN
    UPDATE scoring_runs SET is_current = false WHERE batch_id = batch AND is_current;
    IF FOUND THEN
        INSERT INTO publications (batch_id, occasion, published_by) VALUES (batch, why, acting)
        RETURNING publication_id INTO publication;
    END IF;
    RETURN publication;
END $$;
COMMENT ON FUNCTION hide_scores IS 'Take the scores of a batch from the readers; return the publication, or null if it had none';

CREATE FUNCTION publish_run(run text, acting text, asked_for boolean)
RETURNS TABLE (unscored_mini_batches bigint, rows bigint, scored bigint, referred bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    planned  scoring_runs;
    counts   record;
    replaced text;
    why      CONSTANT text := CASE WHEN asked_for THEN 'command' ELSE 'scoring' END;
    number   bigint;
BEGIN
    PERFORM refuse_other_role(acting);
    SELECT r.* INTO planned FROM scoring_runs AS r WHERE r.scoring_run_id = run;
    PERFORM pg_advisory_xact_lock(
        hashtextextended(current_schema() || ':batch:' || planned.batch_id, 0));
    -- This lock waits for the end of whoever writes scores of the run, so that the count is final.
    SELECT r.* INTO planned FROM scoring_runs AS r WHERE r.scoring_run_id = run FOR UPDATE;
    IF NOT EXISTS (SELECT FROM batches AS b WHERE b.batch_id = planned.batch_id
                   AND b.revision = planned.revision AND b.is_current) THEN
        RAISE EXCEPTION 'run % is not of a current revision', run USING ERRCODE = 'check_violation';
    END IF;
    IF planned.run_kind <> 'night' THEN
        RAISE EXCEPTION 'run % is a shadow, which is never published', run
            USING ERRCODE = 'check_violation';
    END IF;
    IF planned.canary IS NOT NULL AND NOT EXISTS (
        SELECT FROM canary_nights AS c WHERE c.scoring_run_id = run AND c.stopped_by IS NULL
    ) THEN
        RAISE EXCEPTION 'the canary of run % was not judged, or was stopped', run
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT (SELECT count(*) FROM mini_batches AS m
            WHERE m.scoring_run_id = run AND m.state = 'planned') AS unscored,
           count(*) AS rows, count(s.default_probability) AS scored,
           count(s.exclusion_reason) AS referred
    INTO counts
    FROM scores AS s WHERE s.scoring_run_id = run AND s.batch_id = planned.batch_id;
    -- The caller says what is missing.
    IF counts.unscored = 0 AND counts.rows = planned.applications AND NOT planned.is_current THEN
        UPDATE scoring_runs AS r SET is_current = false
        WHERE r.batch_id = planned.batch_id AND r.is_current
        RETURNING r.scoring_run_id INTO replaced;
        UPDATE scoring_runs AS r
        SET state = 'published', is_current = true, scored = counts.scored,
            referred = counts.referred, published_at = coalesce(r.published_at, now())
        WHERE r.scoring_run_id = run;
        INSERT INTO publications (batch_id, scoring_run_id, occasion, published_by)
        VALUES (planned.batch_id, run, why, acting)
        RETURNING publication_id INTO number;
        INSERT INTO audit_log (done_by, action, subject, details)
        VALUES (acting, 'scores.publish', run,
                jsonb_build_object('occasion', why, 'rows', counts.rows, 'replaces', replaced,
                    'records', jsonb_build_array(seal_record('publication', number))));
    END IF;
    RETURN QUERY SELECT counts.unscored, counts.rows, counts.scored, counts.referred;
END $$;
COMMENT ON FUNCTION publish_run IS 'Make a complete scoring run the current one of its batch, with its entry in the audit log; return what was counted, and change nothing if the run is incomplete or current';

CREATE FUNCTION publish_batch(batch text, published_revision integer, acting text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    newest integer;
    number bigint;
BEGIN
    PERFORM refuse_other_role(acting);
    PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || ':batch:' || batch, 0));
    PERFORM FROM batches
    WHERE batch_id = batch AND revision = published_revision AND state = 'landed' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'batch % revision % is not landed', batch, published_revision
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT revision INTO newest FROM batches WHERE batch_id = batch AND is_current;
    IF newest > published_revision THEN
        UPDATE batches SET state = 'published', published_at = now()
        WHERE batch_id = batch AND revision = published_revision;
        RETURN false;
    END IF;
    UPDATE batches SET is_current = false WHERE batch_id = batch AND is_current;
    UPDATE batches SET state = 'published', is_current = true, published_at = now()
    WHERE batch_id = batch AND revision = published_revision;
    number := hide_scores(batch, 'revision', acting);
    IF number IS NOT NULL THEN
        INSERT INTO audit_log (done_by, action, subject, details)
        VALUES (acting, 'scores.hide', batch,
                jsonb_build_object('occasion', 'revision', 'revision', published_revision,
                    'records', jsonb_build_array(seal_record('publication', number))));
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION publish_batch IS 'Publish a landed revision, and make it current unless a newer one is; return whether it is';

CREATE FUNCTION refuse_batch(batch text, refused_revision integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    UPDATE batches SET state = 'refused'
    WHERE batch_id = batch AND revision = refused_revision AND state = 'landed'
$$;
COMMENT ON FUNCTION refuse_batch IS 'Record that a landed revision failed its checks';

CREATE FUNCTION withdraw_batch(batch text, reason text, acting text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    taken  batches;
    run    text;
    number bigint;
BEGIN
    PERFORM refuse_other_role(acting);
    PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || ':batch:' || batch, 0));
    UPDATE batches
    SET is_current = false, withdrawn_at = now(), withdrawn_by = acting, withdrawal_comment = reason
    WHERE batch_id = batch AND is_current
    RETURNING * INTO taken;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'batch % has no current revision', batch USING ERRCODE = 'check_violation';
    END IF;
    SELECT scoring_run_id INTO run FROM scoring_runs WHERE batch_id = batch AND is_current;
    number := hide_scores(batch, 'withdrawal', acting);
    INSERT INTO audit_log (done_by, action, subject, details)
    VALUES (acting, 'batch.withdraw', batch,
            jsonb_build_object('revision', taken.revision, 'applications', taken.accepted,
                               'scoring_run_id', run, 'comment', reason,
                               'records', CASE WHEN number IS NOT NULL THEN
                                   jsonb_build_array(seal_record('publication', number)) END));
END $$;
COMMENT ON FUNCTION withdraw_batch IS 'Take the current revision of a batch out, with its scores and its entry in the audit log';

CREATE FUNCTION restore_batch(batch text, restored_revision integer, reason text, acting text)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    taken  batches;
    run    text;
    number bigint;
BEGIN
    PERFORM refuse_other_role(acting);
    PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || ':batch:' || batch, 0));
    UPDATE batches
    SET is_current = true, withdrawn_at = NULL, withdrawn_by = NULL, withdrawal_comment = NULL
    WHERE batch_id = batch AND revision = restored_revision AND withdrawn_at IS NOT NULL
    RETURNING * INTO taken;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'batch % revision % is not withdrawn', batch, restored_revision
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT p.scoring_run_id INTO run
    FROM publications AS p JOIN scoring_runs AS r USING (scoring_run_id)
    WHERE r.batch_id = batch AND r.revision = restored_revision
    ORDER BY p.publication_id DESC
    LIMIT 1;
    IF run IS NOT NULL THEN
        UPDATE scoring_runs SET is_current = true WHERE scoring_run_id = run;
        INSERT INTO publications (batch_id, scoring_run_id, occasion, published_by)
        VALUES (batch, run, 'restoration', acting)
        RETURNING publication_id INTO number;
    END IF;
    INSERT INTO audit_log (done_by, action, subject, details)
    VALUES (acting, 'batch.restore', batch,
            jsonb_build_object('revision', taken.revision, 'applications', taken.accepted,
                               'scoring_run_id', run, 'comment', reason,
                               'records', CASE WHEN number IS NOT NULL THEN
                                   jsonb_build_array(seal_record('publication', number)) END));
    RETURN run;
END $$;
COMMENT ON FUNCTION restore_batch IS 'Make a withdrawn revision current again, with the run that readers saw last; return that run';

-- What a role other than the owner writes into batches is a landed revision, and no published one.
CREATE FUNCTION guard_batches() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF (TG_OP = 'UPDATE' AND OLD.state = 'published')
       OR NEW.state <> 'landed' OR NEW.is_current OR NEW.published_at IS NOT NULL
       OR NEW.withdrawn_at IS NOT NULL THEN
        IF NOT pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE')
        THEN
            RAISE EXCEPTION 'batch % revision %: % may land it; functions publish and withdraw it',
                NEW.batch_id, NEW.revision, current_user USING ERRCODE = 'insufficient_privilege';
        END IF;
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION guard_batches IS 'Refuse a write into batches that is not the landing of a revision, unless the owner writes it';
CREATE TRIGGER batches_guarded BEFORE INSERT OR UPDATE ON batches
    FOR EACH ROW EXECUTE FUNCTION guard_batches();

CREATE FUNCTION delete_landed_rows(batch text, landed_revision integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT FROM batches WHERE batch_id = batch AND revision = landed_revision
               AND state <> 'published') THEN
        DELETE FROM quarantine WHERE batch_id = batch AND revision = landed_revision;
        DELETE FROM applications WHERE batch_id = batch AND revision = landed_revision;
    END IF;
END $$;
COMMENT ON FUNCTION delete_landed_rows IS 'Delete the applications and quarantined rows of a revision that was never published';

-- ARRAY(...) is used because the planner has no statistics about a revision that has just landed, and
-- would choose a bad join.
CREATE FUNCTION delete_known_applications(batch text, landed_revision integer)
RETURNS TABLE (line_number bigint, batch_id text)
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH known AS MATERIALIZED (
        SELECT l.loan_id, l.batch_id
        FROM loans AS l
        WHERE l.batch_id <> batch
          AND l.loan_id = ANY(ARRAY(
              SELECT a.loan_id FROM applications AS a
              WHERE a.batch_id = batch AND a.revision = landed_revision
          ))
    ), deleted AS (
        DELETE FROM applications AS a
        WHERE a.batch_id = batch AND a.revision = landed_revision
          AND a.loan_id = ANY(ARRAY(SELECT k.loan_id FROM known AS k))
          AND NOT EXISTS (SELECT FROM batches AS b WHERE b.batch_id = batch
                          AND b.revision = landed_revision AND b.state = 'published')
        RETURNING a.line_number, a.loan_id
    )
    SELECT d.line_number, k.batch_id FROM deleted AS d JOIN known AS k USING (loan_id)
$$;
COMMENT ON FUNCTION delete_known_applications IS 'Delete the rows of an unpublished revision whose loan is an application of another current batch; return their lines and those batches';
