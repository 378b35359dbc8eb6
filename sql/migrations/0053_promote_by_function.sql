SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE FUNCTION record_verdicts(
    judged jsonb, given text, acting text, why text, reason text, subject text, details jsonb
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    one      record;
    row_id   bigint;
    recorded jsonb := '[]';
BEGIN
    PERFORM refuse_other_role(acting);
    PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || ':promotions', 0));
    FOR one IN
        SELECT m.kind, m.model_version, j.evidence,
               (SELECT c.model_version FROM champions AS c WHERE c.kind = m.kind) AS champion
        FROM jsonb_to_recordset(judged) AS j (model_version text, evidence jsonb)
        JOIN models AS m USING (model_version)
        ORDER BY m.kind DESC
    LOOP
        IF given = 'promoted' AND acting LIKE 'policy:%'
           AND one.evidence @? '$.gates[*] ? (!(@.passed == true))' THEN
            RAISE EXCEPTION '% failed a gate, so the policy cannot promote it', one.model_version
                USING ERRCODE = 'check_violation';
        END IF;
        INSERT INTO promotions AS p
            (kind, model_version, verdict, replaces, evidence, decided_by, occasion, comment)
        VALUES (one.kind, one.model_version, given, one.champion, one.evidence, acting, why, reason)
        RETURNING p.promotion_id INTO row_id;
        recorded := recorded || seal_record('promotion', row_id);
    END LOOP;
    IF recorded = '[]' THEN
        RAISE EXCEPTION 'no model is named' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO audit_log (done_by, action, subject, details)
    VALUES (acting, 'promotion.' || CASE WHEN why = 'rollback' THEN why ELSE given END,
            record_verdicts.subject,
            record_verdicts.details || jsonb_build_object('records', recorded));
END $$;
COMMENT ON FUNCTION record_verdicts IS 'Record a verdict on model versions, with its entry in the audit log';

CREATE FUNCTION record_signature(
    propensity text, personas text, role text, acting text, reason text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    first  models;
    second models;
BEGIN
    PERFORM refuse_other_role(acting);
    PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || ':promotions', 0));
    SELECT * INTO first FROM models WHERE model_version = propensity AND kind = 'propensity';
    SELECT * INTO second FROM models
    WHERE model_version = personas AND kind = 'personas' AND fingerprint = first.fingerprint;
    IF second.model_version IS NULL THEN
        RAISE EXCEPTION '% and % are no pair of models', propensity, personas
            USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO model_signatures
        (model_version, signed_as, signed_by, comment, artifact_sha256, personas_sha256)
    VALUES (propensity, role, acting, reason, first.artifact_sha256, second.artifact_sha256);
    INSERT INTO audit_log (done_by, action, subject, details)
    VALUES (acting, 'model.' || role, propensity || ', ' || personas,
            jsonb_build_object('comment', reason, 'artifact_sha256', first.artifact_sha256,
                               'personas_sha256', second.artifact_sha256));
END $$;
COMMENT ON FUNCTION record_signature IS 'Record that a person signs a pair of models, with its entry in the audit log';
