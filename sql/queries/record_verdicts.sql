-- Record a verdict on model versions. The version that was promoted last is the champion.
SELECT record_verdicts(%(judged)s, %(verdict)s, %(decided_by)s, %(occasion)s, %(comment)s, %(subject)s,
                       %(details)s)
