"""What all tests share."""

from __future__ import annotations

import numpy  # noqa: F401 - its BLAS must be loaded before it can be limited
import threadpoolctl

# The bits of a matrix product depend on the number of threads, and small products are slower
# with more than one.
threadpoolctl.threadpool_limits(limits=1)
