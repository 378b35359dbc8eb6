-- Return the counts of a scoring run's queue by decision, persona and first reason, how many applications it
-- has, and on how many of them persons worked, by the score's decision and by state.
SELECT q.counts, q.applications,
       coalesce((SELECT jsonb_agg(to_jsonb(w)) FROM (
           SELECT s.suggestion, s.state, count(*) AS applications
           FROM desk_states AS s
           WHERE s.batch_id = q.batch_id AND s.scoring_run_id = q.scoring_run_id
             AND s.suggestion IN ('review', 'refer')
           GROUP BY s.suggestion, s.state) AS w), '[]') AS worked
FROM desk_queues AS q
WHERE q.scoring_run_id = %(scoring_run_id)s
