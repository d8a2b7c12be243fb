"""Runs whose portfolio is rebalanced, and data that do not allow it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_runs import QUICK, Rsc, rsc_in, statuses

from reinforcestrategycreator_pipeline.backtesting.store import read_results

TWO = QUICK.replace("{n_bars: 300}", "{n_bars: 300, symbols: [ONE, TWO]}")
WEEKLY = TWO + "trading: {rebalance: weekly, positions: [-1, 0, 1]}\n"


@pytest.fixture
def rsc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Rsc:
    (tmp_path / "weekly.yaml").write_text(WEEKLY)
    (tmp_path / "never.yaml").write_text(WEEKLY.replace("weekly", "never"))
    return rsc_in(tmp_path, monkeypatch, capsys)


def results_of(run: Path) -> Any:
    return read_results(run / "evaluation/results.parquet", run / "evaluation/all_trades.parquet")


def test_a_run_is_rebalanced_and_says_so(rsc: Rsc, tmp_path: Path) -> None:
    for name in ("weekly", "never"):
        assert rsc("run", "--config", f"{name}.yaml", "--run-id", name).code == 0
    weekly, never = (tmp_path / "runs" / name for name in ("weekly", "never"))
    said = "which are made equal again weekly, at the open of a bar that all assets have: "
    for page in (
        "evaluation/report.md",
        "evaluation/report.html",
        "deployment/package/MODEL_CARD.md",
    ):
        assert said in (weekly / page).read_text(encoding="utf-8")
        assert "weights are not rebalanced" in (never / page).read_text(encoding="utf-8")
    ours, theirs = results_of(weekly), results_of(never)
    for symbol in ("ONE", "TWO"):  # an account of its own, with the same decisions
        for label, result in ours[symbol].items():
            if not label.startswith("random"):
                np.testing.assert_array_equal(result.equity, theirs[symbol][label].equity)
    # All symbols were traded once more on paper, in one loop, and gave the portfolio's equity.
    paper = json.loads((weekly / "deployment/paper_trading.json").read_text(encoding="utf-8"))
    whole = ours["PORTFOLIO"]
    end = next(iter(whole.values())).equity[-1]
    assert paper["PORTFOLIO"]["final_equity"] == pytest.approx(end, rel=1e-9)
    assert paper["PORTFOLIO"]["transfers"] >= 8
    assert paper["PORTFOLIO"]["largest_relative_gap"] <= 1e-9
    assert "PORTFOLIO" not in (never / "deployment/paper_trading.json").read_text(encoding="utf-8")
    hold = "buy and hold"
    assert (ours["PORTFOLIO"][hold].equity != theirs["PORTFOLIO"][hold].equity).any()


def test_symbols_without_a_common_bar_are_refused_before_training(rsc: Rsc, tmp_path: Path) -> None:
    days = pd.bdate_range("2015-01-01", periods=320, tz="UTC")
    rng = np.random.default_rng(0)
    (tmp_path / "prices").mkdir()
    same = np.arange(len(days)) < 230  # the training bars are common, the test bars are not
    for name, late in (("LON", 16.5), ("NYC", 21.0)):
        hours = np.where(same, 21.0, late)
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, len(days))))
        frame = pd.DataFrame(
            {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close, "volume": 9},
            index=(days + pd.to_timedelta(hours, unit="h")).rename("time"),
        )
        frame.to_csv(tmp_path / "prices" / f"{name}.csv")
    source = "{source: csv, params: {path: prices}}"
    text = WEEKLY.replace("{source: synthetic, params: {n_bars: 300, symbols: [ONE, TWO]}}", source)
    (tmp_path / "closes.yaml").write_text(text)
    said = rsc("run", "--config", "closes.yaml", "--run-id", "closes")
    assert said.code != 0
    line = said.errors[-1]
    assert "trading.rebalance: weekly moves money at the open of bars that all symbols" in line
    assert line.endswith("Got LON and NYC without such a bar.")
    assert statuses(tmp_path / "runs/closes")[:4] == ["failed", "complete", "failed", "pending"]
