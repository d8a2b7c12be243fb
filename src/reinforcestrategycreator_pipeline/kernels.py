"""One BLAS kernel and one set of SIMD features for every x86-64 processor with AVX2.

OpenBLAS and NumPy take the widest instructions that a processor has, and another width rounds
otherwise. Both read environment variables when they are loaded, so the choice is made before.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

_INFORMATION = Path("/proc/cpuinfo")
_NEEDED = {"avx2", "fma", "bmi1", "bmi2"}
_FEATURES_BEFORE_2_4 = "SSSE3 SSE41 POPCNT SSE42 AVX F16C FMA3 AVX2"
_FEATURES = "X86_V3"
# Haswell's kernel needs AVX2 and FMA, and runs on the processors of AMD as well.
COMMON = {"blas": "Haswell", "simd": _FEATURES}
_BLAS = "OPENBLAS_CORETYPE"
_ENABLE, _DISABLE = "NPY_ENABLE_CPU_FEATURES", "NPY_DISABLE_CPU_FEATURES"  # never both
_CHOSEN = "_RSC_KERNEL_CHOSEN"  # what the variables were before
_NATIVE = "_RSC_KERNEL_NATIVE"  # in a process that was started again, until it has read this


def choose() -> None:
    """Have NumPy and its BLAS loaded with the common kernel and features.

    Nothing is chosen if NumPy is loaded already, if the processor lacks AVX2, on another system
    than Linux, or in a process that `restart_native` started. Child processes inherit the choice.
    """
    if os.environ.pop(_NATIVE, None) or "numpy" in sys.modules or not can_be_common():
        return
    before = {name: os.environ.pop(name, None) for name in (_BLAS, _ENABLE, _DISABLE)}
    os.environ.setdefault(_CHOSEN, json.dumps(before))
    os.environ[_BLAS] = COMMON["blas"]
    os.environ[_ENABLE] = _FEATURES_BEFORE_2_4 if _numpy_before_2_4() else _FEATURES


def restart_native() -> None:
    """If `choose` chose, replace this process by one with the same arguments and no choice."""
    if before := os.environ.get(_CHOSEN):
        environment = {**os.environ, **json.loads(before), _CHOSEN: None, _NATIVE: "1"}
        sys.stdout.flush()
        sys.stderr.flush()
        kept = {name: value for name, value in environment.items() if value is not None}
        os.execve(sys.executable, sys.orig_argv, kept)


def one_thread() -> AbstractContextManager[object]:
    """Return a context in which NumPy's BLAS uses one thread.

    Products of this size gain nothing from more; where the processor is busy, threads that wait for
    each other take fifteen times as long.
    """
    import numpy  # noqa: F401  # its BLAS must be loaded before it can be limited
    import threadpoolctl  # type: ignore[import-untyped]

    limits: AbstractContextManager[object] = threadpoolctl.threadpool_limits(limits=1)
    return limits


def loaded() -> dict[str, str]:
    """Return the BLAS kernel and the SIMD features that this process has loaded.

    Returns
    -------
    dict of str to str
        ``blas``: the architecture of OpenBLAS's kernel, or "unknown" for another library;
        ``simd``: NumPy's features beyond its baseline, separated by spaces.
    """
    import numpy as np
    import threadpoolctl

    pools = threadpoolctl.threadpool_info()
    kernels = {p["architecture"] for p in pools if p["user_api"] == "blas" and "architecture" in p}
    features = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return {"blas": " ".join(sorted(kernels)) or "unknown", "simd": " ".join(features)}


def variables() -> dict[str, str]:
    """Return the variables with which another process loads the kernel that this one has loaded.

    Those of this process may say something else: NumPy may have been loaded before they were set.
    """
    import numpy as np

    found, chosen = loaded(), {"OPENBLAS_NUM_THREADS": "1"}
    if found["blas"] != "unknown" and " " not in found["blas"]:
        chosen[_BLAS] = found["blas"]
    if found["simd"]:
        chosen[_ENABLE] = found["simd"]
    elif off := np.show_config(mode="dicts")["SIMD Extensions"].get("not found", []):
        chosen[_DISABLE] = " ".join(off)
    return chosen


def environment() -> dict[str, str]:
    """Return the environment of this process, with `variables`, for a process that it starts."""
    kept = {name: text for name, text in os.environ.items() if name not in (_ENABLE, _DISABLE)}
    return {**kept, **variables()}


def is_common(found: Mapping[str, str]) -> bool:
    """Return whether `found` is what `choose` chooses."""
    return found["blas"] == COMMON["blas"] and found["simd"] in (_FEATURES, _FEATURES_BEFORE_2_4)


def named(found: Mapping[str, str]) -> str:
    """Return the words for a kernel and features."""
    return f"BLAS kernel {found['blas']} and SIMD features {found['simd'] or 'of the baseline'}"


def can_be_common() -> bool:
    """Return whether the common kernel can be chosen here: Linux on x86-64 with AVX2."""
    if platform.machine() not in ("x86_64", "AMD64") or not _INFORMATION.is_file():
        return False
    with _INFORMATION.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:  # of the first processor: the file is long where there are many
            if line.startswith("flags"):
                return set(line.split()) >= _NEEDED
    return False


def _numpy_before_2_4() -> bool:
    """Read NumPy's version from its files, since loading NumPy would be too late."""
    spec = importlib.util.find_spec("numpy")
    if spec is None or spec.origin is None:
        return False
    text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    _, _, version = text.partition('version = "')
    major, minor = version.split(".")[:2]
    return (int(major), int(minor)) < (2, 4)
