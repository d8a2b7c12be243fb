"""What all tests share."""

from __future__ import annotations

import threadpoolctl

# The bits of a matrix product depend on the number of threads, and small products are slower
# with more than one.
threadpoolctl.threadpool_limits(limits=1)
