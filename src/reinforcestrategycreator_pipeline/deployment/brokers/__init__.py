"""What a broker is, and the simulated one."""
