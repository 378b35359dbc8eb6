-- Record the comparison of a challenger with the champion. If another process did, its row stays.
INSERT INTO model_comparisons (challenger, champion, loans, defaults, cells, grades)
VALUES (%(challenger)s, %(champion)s, %(loans)s, %(defaults)s, %(cells)s, %(grades)s)
ON CONFLICT (challenger, champion) DO NOTHING
