-- Count the applications of a queue that match a filter.
SELECT count(*) AS applications
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
