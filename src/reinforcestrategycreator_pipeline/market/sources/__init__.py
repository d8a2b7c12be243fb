"""Where market data come from; `catalog` knows all of them."""
