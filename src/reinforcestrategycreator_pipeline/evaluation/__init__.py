"""Backtest, benchmarks, metrics and the report."""
