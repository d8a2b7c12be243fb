"""The audit of a configuration for look-ahead, from its data to its fills."""
