"""What a deep Q-network is made of."""
