"""The report pages and the model card of a run."""
