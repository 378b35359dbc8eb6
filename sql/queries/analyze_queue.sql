-- Gather the statistics of the queues, after rows were written.
SELECT analyze_queue()
