"""Tensor files sealed with a checksum, and numbered checkpoints."""
