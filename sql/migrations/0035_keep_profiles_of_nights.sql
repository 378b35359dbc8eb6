-- What nights usually look like, independently of a model, and what each drift test was compared with.
ALTER TABLE distributions ADD COLUMN profile jsonb;
COMMENT ON COLUMN distributions.profile IS 'The column''s values independently of a model: rows, nulls and, of a number, percentiles (points) with the rows below and up to each; of a category, rows by level, the 50 most frequent. Null for batches measured before this column was there';
ALTER TABLE drift ADD COLUMN against text;
COMMENT ON COLUMN drift.against IS 'What the batch was compared with beside the training: nights of the same weekday, or the last nights; or why a finding alone raises no alert. Null if compared with the training alone';
