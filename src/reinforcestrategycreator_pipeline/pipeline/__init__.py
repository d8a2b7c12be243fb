"""The pipeline: configuration, stages and runner."""
