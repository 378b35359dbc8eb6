-- Return the last rejection or rollback of a model version after its last promotion, if there is one.
SELECT p.verdict, p.occasion, p.decided_by, p.decided_at
FROM promotions AS p
WHERE (p.model_version = %(model_version)s AND p.verdict = 'rejected'
       OR p.replaces = %(model_version)s AND p.occasion = 'rollback')
  AND p.promotion_id > coalesce(
      (SELECT max(q.promotion_id) FROM promotions AS q
       WHERE q.model_version = %(model_version)s AND q.verdict = 'promoted'), 0)
ORDER BY p.promotion_id DESC
LIMIT 1
