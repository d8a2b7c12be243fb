"""Runs give the hashes of an earlier commit, six of them of 6a02fed, before code was rearranged.

The bits of matrix products depend on the BLAS kernel, those of logarithms on the SIMD features
that NumPy finds: each run is a process with Haswell's kernel and no AVX-512. The hashes were made
with NumPy 2.4.6 on x86-64; `python tests/golden/test_golden.py` prints those of today.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from reinforcestrategycreator_pipeline import kernels

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
SMALL = """\
split: {kind: single}
strategy:
  name: dqn
  training: {steps: 600, trajectories: 64, validation_interval: 200, checkpoint_interval: 200,
    fallback: false}
  hyperparameters: {hidden_layers: [16], learning_starts: 512, log_interval: 50}
evaluation: {random_draws: 21}
"""
USERS = """\
imports: [golden_parts]
features:
  columns:
    - {name: returns, horizons: [1, 5, 20]}
    - {name: "golden_parts:overnight_gap", window: 10}
trading: {reward: "golden_parts:loss_averse"}
"""
CONFIGS = {
    "default": "seed: 7\n",
    "one_ensemble": "seed: 7\nsplit: {kind: single}\n",
    "one_dqn": "seed: 7\nsplit: {kind: single}\nstrategy: dqn\n",
    "planted": "data: {source: synthetic, params: {kind: ar1_signal, n_bars: 4000}}\n"
    "features: {columns: [{name: column, columns: [signal]}]}\n"
    "trading: {positions: [-1, 0, 1]}\n" + SMALL,
    "shorts": "seed: 3\ntrading: {positions: [-1, -0.5, 0, 1], initial_equity: 50000}\n" + SMALL,
    "csv": "data:\n  source: csv\n"
    "  params: {path: prices.csv, timezone: America/New_York, session_close: '16:00'}\n"
    "features: {columns: [{name: returns, horizons: [1, 5]}, {name: column, columns: [mood]}]}\n"
    + SMALL,
    "resumed": "seed: 11\ndata: {source: sample, params: {symbols: [IBM, MSFT]}}\n" + SMALL,
    "user": USERS
    + SMALL.replace("strategy:\n", "strategy:\n  model: 'golden_parts:SoftTargetDQN'\n").replace(
        "hyperparameters: {", "hyperparameters: {target_update_interval: 1000000, "
    ),
}
# Ends as Ctrl-C would, behind the second checkpoint.
STOPPED = """
import sys
from reinforcestrategycreator_pipeline.cli import main
from reinforcestrategycreator_pipeline.storage.checkpoints import CheckpointStore

save, saved = CheckpointStore.save, []


def stopping(*arguments):
    save(*arguments)
    saved.append(1)
    if len(saved) == 2:
        raise KeyboardInterrupt


CheckpointStore.save = stopping
sys.exit(main())
"""
ONE_PROCESSOR = {
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}


def write_prices(path: Path) -> None:
    """Write 900 weekdays of a random walk, with an adjusted close and a column of side data."""
    rng, day, rows, close, factor = np.random.default_rng(5), dt.date(2015, 1, 1), [], 80.0, 1.0
    while len(rows) < 900:
        day += dt.timedelta(days=1)
        if day.weekday() > 4:
            continue
        open_ = close * float(np.exp(rng.normal(0, 0.004)))
        close = open_ * float(np.exp(rng.normal(0, 0.012)))
        high, low = max(open_, close) * 1.004, min(open_, close) * 0.997
        factor *= 1.0001
        prices = (open_, high, low, close)
        last = (close * factor, float(rng.normal()))
        texts = [f"{x:.4f}" for x in prices], [f"{x:.4f}" for x in last]
        rows.append(",".join([str(day), *texts[0], str(1000 + len(rows)), *texts[1]]))
    header = "date,open,high,low,close,volume,adj_close,mood"
    path.write_text("\n".join([header, *rows]) + "\n")


def rsc(folder: Path, *arguments: str, program: str = "") -> int:
    code = program or "import sys; from reinforcestrategycreator_pipeline.cli import main; main()"
    command = [sys.executable, "-c", code, "run", *arguments]
    environment = {**os.environ, **ONE_PROCESSOR}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 130), done.stderr
    return done.returncode


def digest(content: Any) -> str:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return hashlib.sha256(data).hexdigest()[:24]


def number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def hashes(run: Path) -> dict[str, str]:
    """Return hashes of weights, metrics, trades and equity, whatever files they are in."""
    tensors = load_file(run / "deployment/package/policy.safetensors")
    stored = json.loads((run / "evaluation/metrics.json").read_text())
    metrics = [
        [
            asset,
            "policy" if i == 0 else name,
            [[k, v["value"], v.get("reason", "")] for k, v in sorted(values.items())],
        ]
        for asset, strategies in stored["metrics"].items()
        for i, (name, values) in enumerate(strategies.items())
    ]
    with (run / "evaluation/trades.csv").open() as file:
        trades = [
            [[k, v if k.endswith("_time") else number(v)] for k, v in sorted(row.items())]
            for row in csv.DictReader(file)
        ]
    with (run / "evaluation/equity.csv").open() as file:
        rows = list(csv.DictReader(file))
    judged = rows[0]["strategy"]
    return {
        "weights": digest(b"".join(n.encode() + tensors[n].tobytes() for n in sorted(tensors))),
        "metrics": digest(sorted(metrics, key=lambda row: row[:2])),
        "percentile": digest(sorted(stored["random_percentile"].items())),
        "trades": digest(trades),
        "equity": digest(
            [[r["symbol"], float(r["equity"])] for r in rows if r["strategy"] == judged]
        ),
    }


def run_all(folder: Path, name: str) -> dict[str, str]:
    (folder / "golden_parts.py").write_text((HERE / "golden_parts.py").read_text())
    write_prices(folder / "prices.csv")
    (folder / f"{name}.yaml").write_text(CONFIGS[name])
    arguments = ("-c", f"{name}.yaml", "--run-id", name)
    if name == "resumed":
        assert rsc(folder, *arguments, program=STOPPED) == 130
        rsc(folder, "--resume", name)
    else:
        rsc(folder, *arguments)
    return hashes(folder / "runs" / name)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_run_gives_the_hashes_of_before(
    tmp_path: Path, name: str, request: pytest.FixtureRequest
) -> None:
    if platform.machine() != "x86_64" or not np.__version__.startswith("2.4."):
        pytest.skip("the hashes are of NumPy 2.4 on x86-64")
    if name == "default" and kernels.can_be_common():  # that is ONE_PROCESSOR's
        found = hashes(request.getfixturevalue("default_job") / "runs/latest")
    else:
        found = run_all(tmp_path, name)
    assert found == json.loads((HERE / "hashes.json").read_text())[name]


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps({name: run_all(Path(scratch), name) for name in CONFIGS}, indent=1))  # noqa: T201
