-- Return the applications of a queue that follow a given place, in the order of a column, with what
-- persons have done. `value` is ascending in that order, whatever the direction; a missing number comes
-- last. What persons did is joined to the rows of the page only: the planner has no statistics of rows that
-- were just written, and would choose a bad join for all.
SELECT p.value, p.loan_id, p.decision, p.default_probability, p.grade, p.exclusion_reason, p.persona,
       p.persona_default_rate, p.reasons, p.amount, p.numbers,
       coalesce(d.state, 'open') AS state, d.decision AS last_decision, d.decided_by, d.decided_at,
       d.approved_up_to, c.assigned_to
FROM (
    SELECT coalesce(%(sign)s * CASE %(sort)s
               WHEN 'probability' THEN default_probability
               WHEN 'loss' THEN default_probability * amount
               WHEN 'loan' THEN 0
               ELSE numbers[%(number)s] END, 1e300) AS value, q.*
    FROM desk_queue AS q
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
      AND (%(after_value)s::double precision IS NULL OR coalesce(%(sign)s * CASE %(sort)s
               WHEN 'probability' THEN default_probability
               WHEN 'loss' THEN default_probability * amount
               WHEN 'loan' THEN 0
               ELSE numbers[%(number)s] END, 1e300) >= %(after_value)s)
      AND (%(after_value)s::double precision IS NULL OR coalesce(%(sign)s * CASE %(sort)s
               WHEN 'probability' THEN default_probability
               WHEN 'loss' THEN default_probability * amount
               WHEN 'loan' THEN 0
               ELSE numbers[%(number)s] END, 1e300) > %(after_value)s
           OR loan_id > %(after_loan_id)s::loan_key)
    ORDER BY value, loan_id
    LIMIT %(limit)s
) AS p
LEFT JOIN LATERAL (
    SELECT * FROM desk_states AS s
    WHERE s.batch_id = %(batch_id)s AND s.scoring_run_id = %(scoring_run_id)s
      AND s.loan_id = p.loan_id
) AS d ON true
LEFT JOIN LATERAL (
    SELECT assigned_to FROM claims AS s
    WHERE s.batch_id = %(batch_id)s AND s.loan_id = p.loan_id
    ORDER BY claim_id DESC
    LIMIT 1
) AS c ON true
ORDER BY p.value, p.loan_id
