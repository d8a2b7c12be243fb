"""Sources of market data; `catalog` registers the shipped ones."""
