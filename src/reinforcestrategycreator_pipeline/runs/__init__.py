"""The folder of a run: names, manifest, lock, log, machine."""
