"""Provide tools beside the nightly stages.

The tools are replay, generated loans, the main job, benchmarks, calibration and drift
demonstrations.
"""
