"""The search over configurations: its space, its trials and its studies."""
