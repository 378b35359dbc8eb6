"""Benches: measure each stage against the least possible work and a naive implementation."""
