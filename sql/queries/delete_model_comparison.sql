-- Delete the earlier comparison of two models.
DELETE FROM model_comparisons WHERE challenger = %(challenger)s AND champion = %(champion)s
