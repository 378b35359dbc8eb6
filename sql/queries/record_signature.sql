-- Record that a person signs a pair of models.
SELECT record_signature(%(propensity)s, %(personas)s, %(signed_as)s, %(signed_by)s, %(comment)s)
