"""Many fits and trials of one kind: jobs, and the engines that run them."""
