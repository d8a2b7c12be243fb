"""Strategies on a span of bars, and what came of them."""
