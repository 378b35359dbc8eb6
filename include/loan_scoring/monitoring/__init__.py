"""Run stage `metrics`: compare batches with their baseline, measure performance, raise alerts."""
