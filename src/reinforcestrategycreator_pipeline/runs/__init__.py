"""A run's folder: names, manifest, lock, log, machine."""
