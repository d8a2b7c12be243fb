"""The five stages of the pipeline."""
