"""Trackers, which log a finished run to another system."""
