-- Put a challenger into shadow.
INSERT INTO shadows (propensity_version, personas_version, champion, started_by)
VALUES (%(propensity_version)s, %(personas_version)s, %(champion)s, %(started_by)s)
