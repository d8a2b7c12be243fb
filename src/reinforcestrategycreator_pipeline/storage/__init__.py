"""Sealed tensor files and numbered checkpoints."""
