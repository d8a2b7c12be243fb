"""The learning loop on Gymnasium tasks."""
