"""No run sees the future: what comes after a span changes nothing that the span produced."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_runs import REPEATABLE, Rsc, hashes, rsc_in

from reinforcestrategycreator_pipeline.deployment.package import load_package
from reinforcestrategycreator_pipeline.features.table import compute_features
from reinforcestrategycreator_pipeline.market.bars import read_bars
from reinforcestrategycreator_pipeline.storage.tensor_files import read_tensors, tensors_sha256

pytestmark = pytest.mark.slow

BARS = 700
SETTINGS = """\
data: {source: csv, params: {path: prices.csv, symbol: ACME}}
split: {kind: single, validation_start: 2021-01-01, test_start: 2021-06-01}
strategy:
  name: dqn
  training: {steps: 400, trajectories: 32, validation_interval: 50, fallback: false}
  hyperparameters: {hidden_layers: [16], batch_size: 32, learning_starts: 256, log_interval: 50}
features:
  columns:
    - {name: returns, horizons: [1, 2, 5]}
    - {name: realized_volatility, periods: [10]}
    - {name: rsi}
    - {name: macd}
    - {name: bollinger}
    - {name: atr}
    - {name: moving_average_distance, periods: [20]}
    - {name: volume_zscore}
    - {name: "slow_features:slow_mean"}
evaluation: {random_draws: 11}
"""


SLOW = """\
import pandas as pd
from reinforcestrategycreator_pipeline import feature

@feature
def slow_mean(bars):
    close = pd.Series(bars["close"])
    return (close / close.ewm(span=20).mean() - 1.0).to_numpy()
"""
"""A feature of the user's that states no history and needs some 200 bars."""


@pytest.fixture
def rsc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Rsc:
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    (tmp_path / "slow_features.py").write_text(SLOW)
    return rsc_in(tmp_path, monkeypatch, capsys)


def market() -> pd.DataFrame:
    """Return raw bars as a vendor's file has them, with an adjusted close."""
    rng = np.random.default_rng(11)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0.0004, 0.01, BARS))), 2)
    open_ = np.round(np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0, 0.003, BARS)), 2)
    frame = pd.DataFrame({"date": pd.bdate_range("2019-01-01", periods=BARS).strftime("%Y-%m-%d")})
    frame["open"] = open_
    frame["high"] = np.maximum(open_, close) + 0.5
    frame["low"] = np.minimum(open_, close) - 0.5
    frame["close"] = close
    frame["volume"] = rng.integers(1_000, 9_000, BARS) * 100
    frame["adj_close"] = close
    return frame


def run(rsc: Rsc, name: str, frame: pd.DataFrame) -> Path:
    frame.to_csv("prices.csv", index=False)
    said = rsc("run", "-c", "settings.yaml", "--run-id", name)
    assert said.code == 0, said.err
    return Path("runs") / name


def trained(run_dir: Path) -> tuple[str, Any, str]:
    """Return what training produced: weights, scaler and spans' ends, history without its speed."""
    stored = json.loads((run_dir / "features/windows.json").read_text(encoding="utf-8"))
    window = stored["windows"][-1]
    history = pd.read_csv(run_dir / "training/history.csv", dtype=str)
    learned = history.drop(columns="steps_per_second").to_csv(index=False)
    weights, header = read_tensors(run_dir / "training/policy.safetensors")
    scaler = header["scaler"]
    return tensors_sha256(weights), (scaler, window["train"], window["validation"]), learned


PRICES = ["open", "high", "low", "close", "adj_close"]


def scale(part: pd.DataFrame) -> pd.DataFrame:
    out = part.copy()
    out[PRICES] = out[PRICES] * 3.0
    out["volume"] = out["volume"] * 7
    return out


def shuffle(part: pd.DataFrame) -> pd.DataFrame:
    out = part.iloc[np.random.default_rng(5).permutation(len(part))].copy()
    out["date"] = part["date"].to_numpy()
    return out


@pytest.mark.parametrize("corrupt", [scale, shuffle])
def test_corrupted_test_bars_change_nothing_that_training_made(
    rsc: Rsc, corrupt: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    frame = market()
    clean = run(rsc, "clean", frame)
    test = frame["date"] > "2021-06-01"
    assert test.sum() > 50
    changed = run(rsc, "changed", pd.concat([frame[~test], corrupt(frame[test])]))
    assert trained(changed) == trained(clean)
    # The corruption was there to be seen.
    assert hashes(changed)[REPEATABLE[1]] != hashes(clean)[REPEATABLE[1]]
    # And it would have been: the same to the last month of training shows in everything.
    month = frame["date"].between("2020-11-01", "2020-12-15")
    parts = [frame[frame["date"] < "2020-11-01"], corrupt(frame[month])]
    leaked = run(rsc, "leaked", pd.concat([*parts, frame[frame["date"] > "2020-12-15"]]))
    assert all(a != b for a, b in zip(trained(leaked), trained(clean), strict=True))


def after_a_split(frame: pd.DataFrame, factor: int, dividend: float = 0.0) -> pd.DataFrame:
    """Append 30 bars that begin with a split, and restate the adjusted closes before it."""
    last = frame.iloc[-1]
    later = market().iloc[:30].copy()
    days = pd.bdate_range(pd.Timestamp(last["date"]) + pd.offsets.BDay(1), periods=30)
    later["date"] = days.strftime("%Y-%m-%d")
    raw = [name for name in PRICES if name != "adj_close"]
    later[raw] = later[raw] * (last["close"] / later["close"].iloc[0] / factor)
    later["adj_close"] = later["close"]
    before = frame.copy()
    ex_close = later["close"].iloc[0]
    before["adj_close"] = before["close"] / factor * ex_close / (ex_close + dividend)
    return pd.concat([before, later])


def targets(run_dir: Path, until: str) -> list[float]:
    table = pd.read_csv(run_dir / "evaluation/equity.csv")
    own = table[(table["symbol"] == "ACME") & (table["strategy"] == "DQN")]
    return own[own["timestamp"] <= until]["exposure"].to_list()


def test_a_future_split_changes_no_decision(rsc: Rsc) -> None:
    """Not of the training, nor of the backtest: a split by a power of two, to the byte."""
    frame = market()
    before = run(rsc, "before", frame)
    after = run(rsc, "after", after_a_split(frame, 2))
    bars = {r: read_bars(r / "data/bars.parquet") for r in (before, after)}
    assert bars[after].provenance["corporate_actions"]["ACME"][0]["split"] == "2:1"
    ratio = bars[after].bars["ACME"]["close"].iloc[:BARS] / bars[before].bars["ACME"]["close"]
    assert ratio.to_numpy() == pytest.approx(0.5, rel=1e-12)  # the past is shown at half
    assert trained(after)[0] == trained(before)[0]
    assert trained(after)[2] == trained(before)[2]
    end = str(bars[before].bars["ACME"].index[-1])
    decided = targets(before, end)
    assert len(set(decided)) == 2
    assert targets(after, end) == decided


def test_a_future_split_and_dividend_change_no_decision_of_a_policy(rsc: Rsc) -> None:
    """By an odd factor, where features may differ by rounding: the deployed policy does not."""
    frame = market()
    before = run(rsc, "before", frame)
    frame_after = after_a_split(frame, 3, dividend=0.37)
    after = run(rsc, "after", frame_after)
    policy = load_package(before / "deployment/package")
    specs = policy.inputs.parsed()
    seen = []
    for run_dir in (before, after):
        table = compute_features(read_bars(run_dir / "data/bars.parquet").bars["ACME"], specs)
        seen.append(table.values[table.lookback : BARS])
    assert not np.array_equal(*seen)  # rounding
    assert seen[1] == pytest.approx(seen[0], rel=1e-6, abs=1e-9)
    tables = [policy.choose(values, {}) for values in seen]
    assert np.array_equal(*tables)
    assert len(np.unique(tables[0])) == 2
