"""The package from Python: what the command line does, and its parts, as functions."""
