-- Record a verdict on a model version. The version that was promoted last is the champion.
INSERT INTO promotions
    (kind, model_version, verdict, replaces, evidence, decided_by, occasion, comment)
VALUES
    (%(kind)s, %(model_version)s, %(verdict)s, %(replaces)s, %(evidence)s, %(decided_by)s,
     %(occasion)s, %(comment)s)
