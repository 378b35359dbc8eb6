"""Tools outside the nightly work: replay, generated loans, benchmarks, calibration, drift demos."""
