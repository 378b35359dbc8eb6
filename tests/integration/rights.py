"""Who may do what in the schemas of a database, as its catalogue has it."""

from contextlib import closing

import psycopg2

_ACLS = """
    select relname, a.grantee::regrole::text, a.privilege_type
    from pg_class as c join pg_namespace as n on n.oid = relnamespace
    cross join lateral aclexplode(coalesce(relacl, acldefault('r', relowner))) as a
    where nspname = any (%(schemas)s) and relkind in ('r', 'p', 'v')
    union all
    select proname, a.grantee::regrole::text, a.privilege_type
    from pg_proc as p join pg_namespace as n on n.oid = pronamespace
    cross join lateral aclexplode(coalesce(proacl, acldefault('f', proowner))) as a
    where nspname = any (%(schemas)s)
    union all
    select nspname, a.grantee::regrole::text, a.privilege_type
    from pg_namespace cross join lateral aclexplode(nspacl) as a
    where nspname = any (%(schemas)s) and nspname <> 'mlflow'
    union all
    select 'default', a.grantee::regrole::text, a.privilege_type
    from pg_default_acl join pg_namespace as n on n.oid = defaclnamespace
    cross join lateral aclexplode(defaclacl) as a
    where nspname = any (%(schemas)s)
"""


def rights(url: str) -> set[tuple[str, str, str]]:
    """Return name, role (`-` is everybody) and right, of what stands in our schemas."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(_ACLS, {"schemas": ["loan_default", "mlflow"]})
        return set(cursor.fetchall())
