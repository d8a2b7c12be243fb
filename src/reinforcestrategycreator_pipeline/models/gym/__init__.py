"""The training loop on Gymnasium environments."""
