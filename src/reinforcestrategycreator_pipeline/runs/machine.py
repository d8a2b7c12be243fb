"""The environment of a run: versions, processor and BLAS, on which its exact results depend."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline import kernels

# Libraries that can change a number or the bytes of a file.
_LIBRARIES = (
    "gymnasium",
    "jinja2",
    "numpy",
    "optuna",
    "pandas",
    "plotly",
    "pyarrow",
    "ruamel.yaml",
    "safetensors",
    "TA-Lib",
)


def describe() -> dict[str, Any]:
    """Return Python, platform, processor, BLAS (with its current limits) and library versions."""
    import numpy as np
    import threadpoolctl  # type: ignore[import-untyped]

    kernel = kernels.loaded()
    pools = [
        {key: value for key, value in pool.items() if key != "filepath"}
        for pool in threadpoolctl.threadpool_info()
    ]
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cpu_count": os.cpu_count(),
        "kernel": kernel,
        "threadpools": pools,
        "libraries": {"numpy": np.__version__, **_versions()},
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
