"""The page on the health of market data."""
