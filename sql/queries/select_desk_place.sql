-- Return the value of a loan in the order of a queue, how many applications match the filter, and how many
-- of them stand before the loan. There is no row if the loan is not in the queue.
SELECT here.value, f.applications, f.before
FROM (
    SELECT coalesce(%(sign)s * CASE %(sort)s
               WHEN 'probability' THEN default_probability
               WHEN 'loss' THEN default_probability * amount
               WHEN 'loan' THEN 0
               ELSE numbers[%(number)s] END, 1e300) AS value
    FROM desk_queue
    WHERE scoring_run_id = %(scoring_run_id)s AND loan_id = %(loan_id)s::loan_key
) AS here
CROSS JOIN LATERAL (
    SELECT count(*) AS applications,
           count(*) FILTER (WHERE value < here.value
                            OR (value = here.value AND loan_id < %(loan_id)s::loan_key)) AS before
    FROM (
        SELECT loan_id, coalesce(%(sign)s * CASE %(sort)s
               WHEN 'probability' THEN default_probability
               WHEN 'loss' THEN default_probability * amount
               WHEN 'loan' THEN 0
               ELSE numbers[%(number)s] END, 1e300) AS value
        FROM desk_queue
        WHERE scoring_run_id = %(scoring_run_id)s
          AND decision = ANY (%(decisions)s)
          AND (%(persona)s::text IS NULL OR persona = %(persona)s)
          AND (%(reason)s::text IS NULL OR exclusion_reason = %(reason)s OR %(reason)s = ANY (reasons))
          AND (%(low)s::double precision IS NULL OR default_probability >= %(low)s)
          AND (%(high)s::double precision IS NULL OR default_probability < %(high)s)
          AND (%(loan)s::text IS NULL OR loan_id = %(loan)s::loan_key)
          AND (%(without)s::text[] IS NULL OR loan_id NOT IN (
                       SELECT d.loan_id FROM desk_states AS d
                       WHERE d.batch_id = %(batch_id)s AND d.scoring_run_id = %(scoring_run_id)s
                         AND d.state = ANY (%(without)s)))
          AND (%(within)s::text[] IS NULL OR loan_id = ANY (ARRAY(
                       SELECT d.loan_id FROM desk_states AS d
                       WHERE d.batch_id = %(batch_id)s AND d.scoring_run_id = %(scoring_run_id)s
                         AND d.state = ANY (%(within)s))))
          AND (%(holder)s::text IS NULL OR loan_id = ANY (ARRAY(
                       SELECT c.loan_id FROM desk_claims AS c
                       WHERE c.batch_id = %(batch_id)s AND c.assigned_to = %(holder)s)))
    ) AS listed
) AS f
