"""Benchmarks: measure each stage and compare it with the least possible work and a naive way."""
