"""Neural networks in NumPy: layers, backpropagation, Adam, losses, heads, and schedules."""
