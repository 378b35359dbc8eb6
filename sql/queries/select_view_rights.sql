-- Return the rights that roles have on view current_applications. A role that is null means PUBLIC.
SELECT r.rolname AS role, p.privilege_type AS privilege
FROM pg_class AS c
CROSS JOIN aclexplode(c.relacl) AS p
LEFT JOIN pg_roles AS r ON r.oid = p.grantee
WHERE c.oid = to_regclass('current_applications')
