"""Metrics of a result."""
