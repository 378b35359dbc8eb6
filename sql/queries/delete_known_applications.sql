-- Delete the rows of a landed revision whose loan is an application of another current batch. Return
-- their line numbers, and the other batches.
SELECT line_number, batch_id FROM delete_known_applications(%(batch_id)s, %(revision)s)
