"""The default job has the same bytes on two processors that one machine can pretend to be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import reinforcestrategycreator_pipeline as rsc
from reinforcestrategycreator_pipeline import kernels
from reinforcestrategycreator_pipeline.files import sha256_file
from reinforcestrategycreator_pipeline.runs.manifest import Manifest, load_manifest

pytestmark = pytest.mark.skipif(not kernels.can_be_common(), reason="needs Linux, x86-64, AVX2")

SMALL = [
    "--set=data.source=synthetic",
    "--set=data.params={n_bars: 500}",
    "--set=split.kind=single",
    "--set=strategy.name=dqn",
    "--set=strategy.training={steps: 100, validation_interval: 50}",
]
# An older processor, as far as OpenBLAS, NumPy, Arrow and the C library can be told.
OLD = {
    "OPENBLAS_CORETYPE": "Prescott",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX2 FMA3 AVX512F",
    "ARROW_USER_SIMD_LEVEL": "AVX2",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-ERMS",
}


def run(store: Path, name: str, environment: dict[str, str], *options: str) -> Manifest:
    command = [sys.executable, "-m", rsc.__name__, "run", f"--runs-dir={store}", f"--run-id={name}"]
    shell = {**os.environ, **environment}
    subprocess.run([*command, *options], env=shell, check=True, capture_output=True)
    return load_manifest(store / name)


def hashes(manifest: Manifest) -> dict[str, str]:
    """Of all outputs, but for those in which the time or the run's name is."""
    every = {k: v for record in manifest.stages.values() for k, v in record.outputs.items()}
    return {k: v for k, v in every.items() if k not in ("history", "fits", "package")}


def package(run_dir: Path) -> dict[str, str]:
    files = sorted((run_dir / "deployment/package").rglob("*"))
    return {f.name: sha256_file(f) for f in files if f.suffix not in (".md", ".json")}


@pytest.mark.slow
def test_the_default_job(tmp_path: Path, default_job: Path) -> None:
    folders = default_job / "runs/latest", tmp_path / "old"
    here, old = load_manifest(folders[0]), run(tmp_path, "old", OLD)
    assert kernels.is_common(here.environment["kernel"])
    assert len(hashes(here)) > 8
    assert hashes(here) == hashes(old)
    judged = [sorted((f / "training/windows").rglob("*.safetensors")) for f in folders]
    assert len(judged[0]) == 5
    assert [[sha256_file(path) for path in paths] for paths in judged[:1]] == [
        [sha256_file(path) for path in paths] for paths in judged[1:]
    ]
    assert package(folders[0]) == package(folders[1]) != {}


@pytest.mark.slow
def test_fast_takes_what_the_processor_has_and_a_resume_says_that_it_differs(
    tmp_path: Path,
) -> None:
    fast = [*SMALL, "--set=reproducibility=fast"]
    exact, old = run(tmp_path, "exact", OLD, *SMALL), run(tmp_path, "old", OLD, *fast)
    assert old.environment["kernel"]["blas"] == "Katmai"  # OpenBLAS's name for its oldest kernel
    # The test above could not fail if kernels made no difference.
    assert hashes(exact)["policy"] != hashes(old)["policy"]
    command = [sys.executable, "-m", rsc.__name__, "run", f"--runs-dir={tmp_path}"]
    command += ["--resume=old", "--set=reproducibility=exact"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "warning: the run began with BLAS kernel Katmai and SIMD features" in done.stderr
    assert "this process has BLAS kernel Haswell" in done.stderr
    again = json.loads((tmp_path / "old/manifest.json").read_text())
    assert kernels.is_common(again["environment"]["kernel"])


def test_a_run_that_came_too_late_to_choose_says_so(tmp_path: Path) -> None:
    code = (
        "import numpy, sys; import reinforcestrategycreator_pipeline as rsc\n"
        "data = {'source': 'synthetic', 'params': {'n_bars': 300}}\n"
        "strategy = {'name': 'dqn', 'training': {'steps': 10, 'validation_interval': 5}}\n"
        "rsc.run({'data': data, 'strategy': strategy})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OPENBLAS_CORETYPE": "Prescott"},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "UserWarning: NumPy was loaded before `run`, with BLAS kernel Katmai" in done.stderr
