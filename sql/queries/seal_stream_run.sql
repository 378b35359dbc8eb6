-- Set the number of applications of the run of a sealed day.
SELECT seal_stream_run(%(scoring_run_id)s) AS applications
