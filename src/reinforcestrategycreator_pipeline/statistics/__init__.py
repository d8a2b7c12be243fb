"""Statistics behind the verdict: pure functions over arrays."""
