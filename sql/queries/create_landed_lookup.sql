-- Create the table in which the rows of a look-up's file are compared with those known.
CREATE TEMPORARY TABLE landed_lookup (
    _key text NOT NULL, _known_at timestamptz NOT NULL, _line bigint NOT NULL
) ON COMMIT DROP
