"""A strategy that says how sure it is, through all five stages."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_runs import Rsc, rsc_in

MODULE = """
from dataclasses import dataclass

from policy_cases import SureSignPolicy

@dataclass(frozen=True)
class Sure:
    def fit(self, train, validation, work):
        return SureSignPolicy(train.rules.positions, train.inputs)
"""
CONFIG = """\
data: {source: synthetic, params: {n_bars: 300}}
features: {columns: [{name: returns, horizons: [1, 2]}]}
strategy: {name: "sure_strategy:Sure"}
split: {kind: single}
evaluation: {random_draws: 11}
"""


@pytest.fixture
def rsc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Rsc:
    (tmp_path / "sure_strategy.py").write_text(MODULE)
    (tmp_path / "sure.yaml").write_text(CONFIG)
    yield rsc_in(tmp_path, monkeypatch, capsys)
    sys.modules.pop("sure_strategy", None)


def test_backtest_paper_trading_and_report_say_how_sure_it_was(rsc: Rsc) -> None:
    said = rsc("run", "-c", "sure.yaml", "--run-id", "one")
    assert said.code == 0, said
    run = Path("runs/one")
    trades = pd.read_csv(run / "evaluation/trades.csv", parse_dates=["entry_time"])
    bars = pd.read_csv(run / "evaluation/equity.csv", parse_dates=["timestamp"])
    assert len(trades) > 10
    own = bars[bars["strategy"] == "Sure"].set_index(["symbol", "timestamp"])
    paper = json.loads((run / "deployment/paper_trading.json").read_text(encoding="utf-8"))
    for symbol, rows in trades.groupby("symbol"):
        entries = [move for move in paper[symbol]["moves"] if move["target"]]
        for name in ("advantage_bps", "spread_bps"):
            assert rows[name].tolist() == [move[name] for move in entries]
            at_entry = own.loc[[(symbol, time) for time in rows["entry_time"]], name]
            assert rows[name].tolist() == at_entry.tolist()
    assert bars.loc[bars["strategy"] != "Sure", "advantage_bps"].isna().all()
    html = (run / "evaluation/report.html").read_text(encoding="utf-8")
    assert "Spread over agents, bps" in html
    assert "h-chart-confidence" in html
    sentence = f"Of {len(trades)} trades, the surer half"
    assert sentence in (run / "evaluation/report.md").read_text(encoding="utf-8")
    assert sentence in (run / "deployment/package/MODEL_CARD.md").read_text(encoding="utf-8")
    said = rsc("run", "--resume", "one")
    assert said.code == 0
    assert "[5/5] deployment: unchanged" in said.err
