"""Market data: sources, validation, adjustment, splits."""
