"""Benchmarks: `python -m benchmarks` runs all and writes RESULTS.md."""
