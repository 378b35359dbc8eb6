"""Benchmarks: measure each stage against the least possible work and naive implementations."""
