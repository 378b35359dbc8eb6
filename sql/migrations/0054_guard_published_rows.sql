SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- Once a statement and not once a row: COPY stays a bulk write, and only the distinct runs are read.
CREATE FUNCTION guard_scores() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    one   record;
    found text;
BEGIN
    IF pg_has_role(session_user, current_user, 'USAGE') THEN
        RETURN NULL;
    END IF;
    FOR one IN SELECT DISTINCT scoring_run_id, batch_id FROM added LOOP
        -- The lock makes a publication wait for the end of this transaction.
        SELECT state INTO found FROM scoring_runs
        WHERE scoring_run_id = one.scoring_run_id AND batch_id = one.batch_id FOR SHARE;
        IF found IS DISTINCT FROM 'planned' THEN
            RAISE EXCEPTION 'no score is added to run % of batch %: it is %', one.scoring_run_id,
                one.batch_id, coalesce(found, 'not planned') USING ERRCODE = 'insufficient_privilege';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION guard_scores IS 'Refuse scores of a run that is published or not planned, unless the owner writes them';

CREATE FUNCTION guard_applications() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    one   record;
    found text;
BEGIN
    IF pg_has_role(session_user, current_user, 'USAGE') THEN
        RETURN NULL;
    END IF;
    FOR one IN SELECT DISTINCT batch_id, revision FROM added LOOP
        SELECT state INTO found FROM batches
        WHERE batch_id = one.batch_id AND revision = one.revision FOR SHARE;
        IF found = 'published' THEN
            RAISE EXCEPTION 'no application is added to batch % revision %: it is published',
                one.batch_id, one.revision USING ERRCODE = 'insufficient_privilege';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION guard_applications IS 'Refuse applications of a published revision, unless the owner writes them';

-- COPY goes straight into a partition, where only the triggers of the partition fire.
CREATE FUNCTION guard_table(parent text, guarded text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF parent IN ('scores', 'shadow_scores', 'applications') THEN
        EXECUTE format(
            'CREATE TRIGGER guarded AFTER INSERT ON %I.%I REFERENCING NEW TABLE AS added'
            ' FOR EACH STATEMENT EXECUTE FUNCTION %I.%I()',
            current_schema(), guarded, current_schema(),
            'guard_' || replace(parent, 'shadow_', ''));
    END IF;
END $$;
COMMENT ON FUNCTION guard_table IS 'Put the guard of scores or applications on that table or on one of its partitions';
SELECT guard_table(parent, parent)
FROM unnest(ARRAY['scores', 'shadow_scores', 'applications']) AS parent;
SELECT guard_table(p.relname, c.relname)
FROM pg_inherits AS i
JOIN pg_class AS p ON p.oid = i.inhparent AND p.relkind = 'p'
JOIN pg_class AS c ON c.oid = i.inhrelid AND c.relkind = 'r'
WHERE p.relnamespace = current_schema()::regnamespace;

CREATE OR REPLACE FUNCTION create_partition(parent text, batch_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    here CONSTANT text := current_schema();
    low  text := 'history';
    high text := 'history~';
    name text := parent || '_history';
    may  record;
BEGIN
    IF parent NOT IN ('applications', 'scores', 'shadow_scores', 'calls') OR batch_id IS NULL THEN
        RAISE EXCEPTION '% has no monthly partitions', parent;
    END IF;
    IF batch_id <> 'history' THEN
        low := to_char(date_trunc('month', batch_id::date), 'YYYY-MM-DD');
        high := to_char(low::date + interval '1 month', 'YYYY-MM-DD');
        name := parent || to_char(low::date, '_YYYY_MM');
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(here || ':partitions:' || parent, 0));
    -- Not to_regclass: it may still answer from its cache what was true before the lock.
    IF EXISTS (SELECT FROM pg_class
               WHERE relname = name AND relnamespace = here::regnamespace) THEN
        RETURN;
    END IF;
    -- Here and not only before: retention may have dropped it while this waited for the lock.
    IF EXISTS (SELECT FROM dropped_partitions WHERE partition = name) THEN
        RAISE EXCEPTION 'retention has dropped %', name;
    END IF;
    EXECUTE format(
        'CREATE TABLE %I.%I (LIKE %I.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS)',
        here, name, here, parent);
    EXECUTE format('COMMENT ON TABLE %I.%I IS %L', here, name,
                   format('Partition of %s: %s up to below %s', parent, low, high));
    -- COPY goes straight into it: who may insert into the table may insert into its partition. What
    -- is deleted is deleted through the table.
    FOR may IN
        SELECT a.grantee::regrole::text AS grantee, a.privilege_type
        FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.relname = parent AND c.relnamespace = here::regnamespace
          AND a.grantee NOT IN (0, c.relowner) AND a.privilege_type IN ('SELECT', 'INSERT')
    LOOP
        EXECUTE format('GRANT %s ON %I.%I TO %s', may.privilege_type, here, name, may.grantee);
    END LOOP;
    PERFORM guard_table(parent, name);
    EXECUTE format('ALTER TABLE %I.%I ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)',
                   here, parent, here, name, low, high);
END $$;

-- Rows of earlier releases have no entry of their own.
SELECT seal_records('role:' || session_user);
