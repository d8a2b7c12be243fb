"""Replay memories: what happened, sampled uniformly."""
