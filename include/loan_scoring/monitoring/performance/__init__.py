"""Measure how well a batch was scored: estimated before outcomes arrive, realised afterwards."""
