"""What all tests share."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import tempfile

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


# What a shell may set and the program, its libraries or their children would obey.
SETTINGS = (
    "CLICOLOR", "CLICOLOR_FORCE", "COLORTERM", "COLUMNS", "FORCE_COLOR", "GITHUB_ACTIONS",
    "JUPYTER_COLUMNS", "JUPYTER_LINES", "LINES", "NO_COLOR", "PYTHONWARNINGS", "PY_COLORS",
    "TERMINAL_WIDTH", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "TYPER_USE_RICH",
)  # fmt: skip


HOME = tempfile.TemporaryDirectory(prefix="rsc-tests-")
atexit.register(HOME.cleanup)


def pytest_sessionstart() -> None:
    """Start from a clean environment: before test modules are imported, and libraries read it."""
    for name in list(os.environ):
        if name in SETTINGS or name.startswith(("RSC_", "_RSC_", "_TYPER_")):
            del os.environ[name]
    # The user's own: trusted folders, and notes of runs that name modules.
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        os.environ[name] = HOME.name


@pytest.fixture(autouse=True, scope="module")
def _forget_user_modules(tmp_path_factory):
    """Forget the modules that a file's tests wrote and loaded: other files reuse their names."""
    yield
    base = str(tmp_path_factory.getbasetemp())
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(base):
            del sys.modules[name]


# A shell that starts the tests in the background has them ignore Ctrl-C, and with them the
# processes to which tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
