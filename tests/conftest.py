"""What all tests share."""

from __future__ import annotations

import os
import signal

import numpy  # noqa: F401 - its BLAS must be loaded before it can be limited
import pytest
import shapes
import threadpoolctl

# Before anything imports the package: signatures that give shapes are checked.
shapes.install()

# The contract suites are tests, though they are in the package: their asserts explain themselves.
pytest.register_assert_rewrite("reinforcestrategycreator_pipeline.testing")

# The bits of a matrix product depend on the number of threads, and small products are slower
# with more than one.
threadpoolctl.threadpool_limits(limits=1)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the developer's shell says to the program away from the tests."""
    for name in list(os.environ):
        if name.startswith("RSC_") or name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
            monkeypatch.delenv(name)


# A shell that starts the tests in the background has them ignore Ctrl-C, and with them the
# processes to which tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
