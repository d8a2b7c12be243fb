"""The exogenous market, vectorised for training and bar by bar for Gymnasium."""
