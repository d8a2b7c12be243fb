"""What a network's outputs mean and how they learn; `catalog` knows all heads."""
