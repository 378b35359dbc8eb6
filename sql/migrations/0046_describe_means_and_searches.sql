-- Trials may be a mean of two or come from a search; personas have figures by their number (docs/adr/0050).
COMMENT ON COLUMN trials.trial IS 'ALGORITHM-NUMBER, by the contract''s list of candidates; mean_of-1 for the mean of two; ALGORITHM-search-NUMBER for what a search suggested';
COMMENT ON COLUMN trials.place IS 'Its place in that list, from the simplest on, the mean of two and then the search last; of trials within one standard error of the best the first is chosen';
COMMENT ON COLUMN trials.parameters IS 'What the contract or the search sets of its parameters; first and second for a mean of two';
COMMENT ON COLUMN trial_failures.trial IS 'Named as in trials';
COMMENT ON COLUMN models.metrics IS 'What it was measured by: on the untouched hold-out, each with an interval below intervals; or its personas with their traits, and under counts what each number of personas was judged by';
