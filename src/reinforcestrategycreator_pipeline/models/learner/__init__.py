"""Parts of a deep Q-network: networks, training step, guards, and saved state."""
