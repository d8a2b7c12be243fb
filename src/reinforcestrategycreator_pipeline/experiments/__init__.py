"""Jobs, and the engines that do them."""
