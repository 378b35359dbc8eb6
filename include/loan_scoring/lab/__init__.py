"""What is not the nightly work: replay, generated loans, benches, calibration, demonstrations."""
