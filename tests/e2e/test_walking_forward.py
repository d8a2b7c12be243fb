"""Walking forward as a whole: what judges a window has changed nothing of it, however it ran."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from shared_runs import made_once
from small_runs import Rsc, rsc_in, script, start_script, statuses

from reinforcestrategycreator_pipeline.api.runs import Run
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO
from reinforcestrategycreator_pipeline.deployment.package import load_package
from reinforcestrategycreator_pipeline.features.store import FeatureSet
from reinforcestrategycreator_pipeline.files import sha256_file
from reinforcestrategycreator_pipeline.policies.base import load_policy

pytestmark = pytest.mark.slow

WINDOWS = 3
SETTINGS = f"""\
data: {{source: csv, params: {{path: prices.csv, symbol: ACME}}}}
features: {{columns: [{{name: returns, horizons: [1, 2]}}, rsi]}}
split: {{windows: {WINDOWS}}}
strategy:
  name: dqn_ensemble
  training: {{agents: 3, hidden_layers: [8], batch_size: 32, screening_steps: 300, steps: 300,
    checkpoint_interval: 50, caution: 0}}
evaluation: {{random_draws: 11, benchmarks: [linear, buy_and_hold]}}
"""


def fill(folder: Path) -> None:
    (folder / "settings.yaml").write_text(SETTINGS)
    market().to_csv(folder / "prices.csv", index=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that nothing stopped."""

    def make(folder: Path) -> None:
        fill(folder)
        done = script(folder, "--config", "settings.yaml", "--run-id", "whole")
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "walked-forward", make) / "runs/whole"


@pytest.fixture
def rsc(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Rsc:
    return rsc_in(folder, monkeypatch, capsys)


def market(n: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    close = 100 * np.exp(np.cumsum(rng.normal(0.0004, 0.01, n)))
    open_ = np.concatenate([[100.0], close[:-1]])
    frame = pd.DataFrame({"date": pd.bdate_range("2019-01-01", periods=n).strftime("%Y-%m-%d")})
    frame["open"], frame["close"] = open_, close
    frame["high"], frame["low"] = np.maximum(open_, close) + 0.5, np.minimum(open_, close) - 0.5
    frame["volume"] = rng.integers(1_000, 9_000, n)
    return frame[["date", "open", "high", "low", "close", "volume"]]


def policies(run_dir: Path) -> list[str]:
    """Return the SHA-256 of the policies that were judged, then of the deployed one."""
    judged = [run_dir / f"training/windows/{k + 1}/policy.safetensors" for k in range(WINDOWS)]
    return [sha256_file(path) for path in (*judged, run_dir / "training/policy.safetensors")]


def spans(run_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run_dir / "features/windows.json").read_text("utf-8"))
    return found


def test_bars_that_judge_a_window_change_nothing_of_it_nor_of_earlier_ones(rsc: Rsc) -> None:
    assert rsc("run", "-c", "settings.yaml", "--run-id", "clean").code == 0
    clean = Path("runs/clean")
    was = policies(clean)
    assert len(set(was)) == WINDOWS + 1
    for k, window in enumerate(spans(clean)["windows"]):
        frame = market()
        later = (pd.to_datetime(frame["date"]) >= window["test"][0][:10]).to_numpy()
        frame.loc[later, ["open", "high", "low", "close"]] *= 1.5
        frame.loc[later, "volume"] *= 3
        frame.to_csv("prices.csv", index=False)
        assert rsc("run", "-c", "settings.yaml", "--run-id", f"after{k}").code == 0
        now = policies(Path(f"runs/after{k}"))
        assert now[: k + 1] == was[: k + 1]
        assert all(x != y for x, y in zip(now[k + 1 :], was[k + 1 :], strict=True))


def test_the_engine_changes_no_bit(rsc: Rsc) -> None:
    found = []
    for options in (("--engine", "inline"), ("--workers", "2"), ("--workers", "3")):
        name = options[-1]
        assert rsc("run", "-c", "settings.yaml", "--run-id", name, *options).code == 0
        equity = sha256_file(Path("runs") / name / "evaluation/equity.csv")
        found.append([*policies(Path("runs") / name), equity])
    assert found[1:] == found[:-1]


def test_a_quick_run_goes_through_all_stages_and_keeps_its_training(rsc: Rsc) -> None:
    (Path("settings.yaml")).write_text(SETTINGS.replace("steps: 300", "steps: 5000"))
    assert rsc("run", "-c", "settings.yaml", "--run-id", "quick", "--quick").code == 0
    kept = Run.open("quick").config["strategy"]["training"]
    assert (kept["agents"], kept["screening_steps"], kept["steps"]) == (3, 600, 600)
    assert rsc("run", "--resume", "quick").err.count("unchanged") == 5
    assert "quick does not go with resume" in rsc("run", "--resume", "quick", "--quick").err


def test_ray_changes_no_bit_either(rsc: Rsc) -> None:
    pytest.importorskip("ray")
    for engine in ("inline", "ray"):
        said = rsc("run", "-c", "settings.yaml", "--run-id", engine, "--engine", engine)
        assert said.code == 0, said.err
    assert policies(Path("runs/inline")) == policies(Path("runs/ray"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--engine", "inlin"), "Did you mean 'inline'?"),
        (("--engine", "inline", "--workers", "2"), "--workers goes with --engine processes, not"),
        (("--workers", "2", "--address", "auto"), "exclude each other"),
        (("--workers", "0"), "workers"),
        (("--address", "nowhere"), '"host:port" or "auto"'),
    ],
)
def test_a_wrong_engine_is_one_line(rsc: Rsc, options: tuple[str, ...], message: str) -> None:
    said = rsc("run", "-c", "settings.yaml", *options)
    assert said.code == 2, said.err
    assert message in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert not Path("runs").exists()


def test_one_account_goes_through_all_windows(rsc: Rsc) -> None:
    assert rsc("run", "-c", "settings.yaml", "--run-id", "one").code == 0
    run = Run.open("one")
    result = run.results["ACME"][run.strategy]
    stored = spans(run.folder)
    first, last = stored["windows"][0]["test"][0], stored["windows"][-1]["test"][1]
    assert [str(x) for x in result.timestamps[[0, -1]]] == [
        str(pd.Timestamp(first)), str(pd.Timestamp(last)),
    ]  # fmt: skip
    # Each decision is the window's own policy's, from the target that was held.
    spec = run.folder / "features/spec.json"
    features = FeatureSet.read(run.folder / "features/features.parquet", spec).frames["ACME"]
    starts = [pd.Timestamp(window["test"][0]) for window in stored["windows"]]
    held, grid = 0, (0.0, 1.0)
    for stamp, exposure in zip(result.timestamps[:-1], result.exposure, strict=True):
        policy = run.policies[sum(stamp >= start for start in starts) - 1]
        held = policy.decide(features.loc[stamp].to_numpy(), held)
        assert grid[held] == exposure
    assert run.results[PORTFOLIO]["linear"].equity[-1] > 0

    # The package has another policy, which knows all bars, and says what judged it.
    package = run.package_path
    assert load_package(package).content()[1] == run.policy.content()[1]
    assert load_policy(run.folder / "training/policy.safetensors").describe() in repr(run.policy)
    named = json.loads((package / "manifest.json").read_text("utf-8"))["provenance"]["split"]
    assert named == {key: stored[key] for key in ("windows", "deployed")}
    assert named["deployed"]["validation"][1] == last
    page = (run.folder / "evaluation/report.md").read_text("utf-8")
    assert "## Windows" in page
    assert f"in {WINDOWS} windows" in (package / "MODEL_CARD.md").read_text("utf-8")


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_run_goes_on_to_the_same_bytes(folder: Path, whole: Path, seed: int) -> None:
    options = ("--config", "settings.yaml", "--run-id", "cut", "--engine", "processes")
    process = start_script(folder, *options)
    began = folder / "runs/cut/training"
    while not began.is_dir() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(np.random.default_rng(seed).uniform(0.2, 3.0))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stderr.close()
    again = script(folder, "--resume", "cut")
    assert again.returncode == 0, again.stderr
    assert statuses(folder / "runs/cut") == ["complete"] * 6
    assert policies(folder / "runs/cut") == policies(whole)
    for name in ("metrics.json", "equity.csv", "trades.csv"):
        paths = (run / "evaluation" / name for run in (folder / "runs/cut", whole))
        assert len({sha256_file(path) for path in paths}) == 1, name


def test_ctrl_c_reaches_the_workers(folder: Path) -> None:
    settings = SETTINGS.replace("steps: 300", "steps: 300000")
    (folder / "settings.yaml").write_text(settings)
    process = start_script(folder, "--config", "settings.yaml", "--run-id", "cut", "--workers", "2")
    checkpoints = folder / "runs/cut/training/checkpoints"
    while len(list(checkpoints.rglob("*.safetensors"))) < 2 and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "rsc run --resume" in said
    assert statuses(folder / "runs/cut")[3] == "interrupted"
