"""The exogenous market: vectorized for training, and bar by bar for Gymnasium."""
