CREATE TABLE dropped_partitions (
    partition  text PRIMARY KEY,
    table_name text NOT NULL CHECK (table_name IN ('applications', 'scores', 'calls')),
    month      text COLLATE "C" NOT NULL CHECK (month ~ '^\d{4}-\d{2}$'),
    rows       bigint NOT NULL CHECK (rows >= 0),
    bytes      bigint NOT NULL CHECK (bytes >= 0),
    quarantined bigint NOT NULL DEFAULT 0 CHECK (quarantined >= 0),
    keep_days  integer NOT NULL CHECK (keep_days > 0),
    dropped_by text NOT NULL CHECK (dropped_by <> ''),
    dropped_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX dropped_partitions_by_month ON dropped_partitions (month, table_name);
CREATE TRIGGER dropped_partitions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dropped_partitions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
COMMENT ON TABLE dropped_partitions IS 'Append-only: the months whose rows retention has dropped';
COMMENT ON COLUMN dropped_partitions.partition IS 'Name of the partition';
COMMENT ON COLUMN dropped_partitions.table_name IS 'Its table: applications, scores or calls';
COMMENT ON COLUMN dropped_partitions.month IS 'Its month, YYYY-MM';
COMMENT ON COLUMN dropped_partitions.rows IS 'Rows that it had';
COMMENT ON COLUMN dropped_partitions.bytes IS 'Room that it took on disk, indexes included';
COMMENT ON COLUMN dropped_partitions.quarantined IS 'With applications: rows of quarantine of the same batches, deleted with it';
COMMENT ON COLUMN dropped_partitions.keep_days IS 'Days that were to be kept';
COMMENT ON COLUMN dropped_partitions.dropped_by IS 'Who: cli:USER or airflow:DAG';
COMMENT ON COLUMN dropped_partitions.dropped_at IS 'When';

-- Functions of the owner, for roles that may not create tables: pg_temp stands last in their path,
-- so that no temporary table of the caller's passes for one of ours (docs/adr/0024).
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE FUNCTION create_partition(parent text, batch_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    here CONSTANT text := current_schema();
    low  text := 'history';
    high text := 'history~';
    name text := parent || '_history';
    may  record;
BEGIN
    IF parent NOT IN ('applications', 'scores', 'calls') OR batch_id IS NULL THEN
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
    -- COPY goes straight into it: who may insert into the table may insert into its partition.
    FOR may IN
        SELECT a.grantee::regrole::text AS grantee, a.privilege_type
        FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.relname = parent AND c.relnamespace = here::regnamespace
          AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT %s ON %I.%I TO %s', may.privilege_type, here, name, may.grantee);
    END LOOP;
    EXECUTE format('ALTER TABLE %I.%I ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)',
                   here, parent, here, name, low, high);
END $$;
REVOKE ALL ON FUNCTION create_partition FROM PUBLIC;
COMMENT ON FUNCTION create_partition IS 'Make the monthly partition of applications, scores or calls that holds a batch, unless it is there';
