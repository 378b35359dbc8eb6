"""Measure the speed of each stage against the least possible work and naive implementations."""
