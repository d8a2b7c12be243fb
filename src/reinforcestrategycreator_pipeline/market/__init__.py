"""Market data: sources, validation, adjustment and splits."""
