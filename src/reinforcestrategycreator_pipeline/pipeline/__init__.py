"""Composition: configuration, stages, and the runner."""
