"""Benchmarks: each stage against its floor and against the naive way."""
