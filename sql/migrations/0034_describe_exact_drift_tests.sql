-- Tests are exact where counts are small, and the PSI is corrected for the size of the batch.
COMMENT ON COLUMN drift.test IS 'ks, rank_sum, wasserstein, chi_square, rare_levels, jensen_shannon, unseen_levels, null_share, calendar, psi; joint: domain_classifier, reconstruction; kinds model and target: tests of outcomes';
COMMENT ON COLUMN drift.statistic IS 'The test''s statistic; of psi the PSI as it is';
COMMENT ON COLUMN drift.p_value IS 'Its p-value; null if the test has none, or if there is nothing to test, such as nulls where neither side has any';
COMMENT ON COLUMN drift.p_adjusted IS 'Benjamini-Hochberg over all tests of the batch: it keeps the false discovery rate';
COMMENT ON COLUMN drift.effect IS 'Size of the difference, in the test''s own unit; of psi the PSI minus its mean without drift, at least 0';
