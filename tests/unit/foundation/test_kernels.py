"""The choice of one BLAS kernel and one set of SIMD features, before NumPy is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reinforcestrategycreator_pipeline import kernels

needs_avx2 = pytest.mark.skipif(not kernels.can_be_common(), reason="needs Linux, x86-64, AVX2")
PRINT = "; from reinforcestrategycreator_pipeline import kernels; print(kernels.loaded())"


def fresh(code: str, **environment: str) -> dict[str, Any]:
    """Return the dict that `code` prints last, in a new interpreter."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = eval(done.stdout.splitlines()[-1])
    return found


@needs_avx2
def test_a_run_in_python_has_the_common_kernel_whatever_the_environment_says() -> None:
    code = "import reinforcestrategycreator_pipeline as rsc; rsc.run" + PRINT
    others = {
        "OPENBLAS_CORETYPE": "Prescott",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4" if np.__version__ >= "2.4" else "AVX2",
    }
    assert kernels.is_common(fresh(code))
    assert kernels.is_common(fresh(code, **others))


@needs_avx2
def test_nothing_is_chosen_for_the_learner_alone_or_after_numpy() -> None:
    prescott = {"OPENBLAS_CORETYPE": "Prescott"}
    learner = "import reinforcestrategycreator_pipeline as rsc; rsc.DQN" + PRINT
    late = "import numpy, reinforcestrategycreator_pipeline as rsc; rsc.run" + PRINT
    for code in (learner, late):
        assert fresh(code, **prescott)["blas"] == "Katmai"  # OpenBLAS's name for its oldest kernel


@needs_avx2
def test_a_fast_command_starts_again_with_what_the_user_had(tmp_path: Path) -> None:
    code = (
        "import os, sys; from reinforcestrategycreator_pipeline import kernels; "
        "kernels.choose(); kernels.restart_native(); sys.argv" + PRINT
    )
    assert fresh(code, OPENBLAS_CORETYPE="Prescott")["blas"] == "Katmai"
    # What such a process starts chooses again.
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    code = child.replace("kernels.restart_native(); ", "")
    assert kernels.is_common(fresh(code, OPENBLAS_CORETYPE="Prescott"))


@pytest.mark.parametrize(
    ("version", "before"), [("2.0.1", True), ("2.3.10", True), ("2.4.0", False)]
)
def test_numpy_renamed_its_features_in_2_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, before: bool
) -> None:
    package = tmp_path / "numpy"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "version.py").write_text(f'\n"""Text."""\nversion = "{version}"\n')
    monkeypatch.delitem(sys.modules, "numpy")
    monkeypatch.syspath_prepend(tmp_path)
    assert kernels._numpy_before_2_4() is before


@pytest.mark.parametrize(
    ("flags", "machine", "can"),
    [
        ("fpu sse2 avx avx2 bmi1 bmi2 fma avx512f", "x86_64", True),
        ("fpu sse2 avx fma avx512f", "x86_64", False),
        ("fpu sse2 avx avx2 bmi1 bmi2 fma", "aarch64", False),
    ],
)
def test_which_processors_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, machine: str, can: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags\t\t: {flags}\n\nprocessor : 1\n")
    monkeypatch.setattr(kernels, "_INFORMATION", tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert kernels.can_be_common() is can
