"""What is not nightly work: replays, benchmarks, calibration of drift, demonstrations."""
