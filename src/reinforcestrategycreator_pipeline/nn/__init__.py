"""The network's mathematics in NumPy: layers, backpropagation, Adam, storage."""
