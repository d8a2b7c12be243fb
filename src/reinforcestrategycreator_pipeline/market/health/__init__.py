"""The health of market data: what is missing, odd or suspicious, with its rows."""
