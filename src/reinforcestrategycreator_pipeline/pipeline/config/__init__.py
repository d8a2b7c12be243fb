"""The configuration: its parts, how it is read, checked and written."""
