-- Record a verdict on a version; the last promoted one is the champion.
INSERT INTO promotions
    (kind, model_version, verdict, replaces, evidence, decided_by, occasion, comment)
VALUES
    (%(kind)s, %(model_version)s, %(verdict)s, %(replaces)s, %(evidence)s, %(decided_by)s,
     %(occasion)s, %(comment)s)
