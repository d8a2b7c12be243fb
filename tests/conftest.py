"""What all tests share."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import tempfile
from pathlib import Path

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each worker slow tests first: none is left to one of them at the end.

    With ``--dist worksteal`` each worker gets an equal part of the list, in its order; one that is
    done takes tests from the end of another's part. A module's slow tests share fixtures, so they
    stay together.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers == 1:
        return
    modules: dict[str, list[pytest.Item]] = {}
    quick = []
    for item in items:
        if item.get_closest_marker("slow"):
            modules.setdefault(item.nodeid.partition("::")[0], []).append(item)
        else:
            quick.append(item)
    slow, size, dealt = list(modules.values()), len(items) // workers, []
    for worker in range(workers):
        part = [item for module in slow[worker::workers] for item in module]
        missing = max(size - len(part), 0)
        dealt += part + quick[:missing]
        del quick[:missing]
    items[:] = dealt + quick


def pytest_collection_finish() -> None:
    """Keep the collector of garbage from the tests themselves: a pass over them takes a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def default_job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which ``rsc run`` ran as it comes. It is shared: for reading alone."""
    from shared_runs import made_once, make_default_job

    return made_once(tmp_path_factory, "default-job", make_default_job)


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
