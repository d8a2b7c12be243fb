"""The protocol of brokers, and the simulated broker."""
