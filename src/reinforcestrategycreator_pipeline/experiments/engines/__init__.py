"""The engines that run jobs: one after the other, in worker processes, on a cluster."""
