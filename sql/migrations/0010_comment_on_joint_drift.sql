COMMENT ON COLUMN drift.kind IS 'data: inputs; prediction: scores, decisions, personas, first reasons; joint: all inputs together';
COMMENT ON COLUMN drift.feature IS 'Column that was compared; all: the inputs together';
COMMENT ON COLUMN drift.test IS 'ks, wasserstein, chi_square, jensen_shannon, unseen_levels, null_share, psi; joint: domain_classifier, reconstruction';
