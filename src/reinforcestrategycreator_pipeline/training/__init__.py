"""The training loop on the exogenous market: checkpoints, early stopping, exact resume."""
