"""Backtests of strategies on a span of bars, their results and metrics."""
