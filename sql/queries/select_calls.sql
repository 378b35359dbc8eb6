-- Return the recorded scorings on demand that follow a given call, in the order of time.
SELECT call_id, called_at, called_by, purpose, propensity_version, personas_version, applications,
       input, output, seconds
FROM calls
WHERE called_on >= coalesce((%(since)s::timestamptz AT TIME ZONE 'UTC')::date, '-infinity')
  AND called_on <= coalesce((%(until)s::timestamptz AT TIME ZONE 'UTC')::date, 'infinity')
  AND (%(since)s::timestamptz IS NULL OR called_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR called_at < %(until)s)
  AND (%(model_version)s::text IS NULL
       OR %(model_version)s IN (propensity_version, personas_version))
  AND (%(after_at)s::timestamptz IS NULL
       OR (called_on, called_at, call_id)
          > ((%(after_at)s::timestamptz AT TIME ZONE 'UTC')::date, %(after_at)s, %(after_id)s::uuid))
ORDER BY called_on, called_at, call_id
LIMIT %(limit)s
