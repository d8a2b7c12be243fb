"""Runs with the default strategy, an ensemble, from data to deployment: what they leave and say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_runs import REPEATABLE, Rsc, rsc_in, statuses

from reinforcestrategycreator_pipeline.files import sha256_file

# A visible signal moves the next bar by about as much as chance does; two others do not.
EDGE = """\
data:
  source: synthetic
  params: {kind: ar1_signal, n_bars: 1000, edge_bps: 100, irrelevant: 2}
features: {columns: [{name: column, columns: [signal, noise_1, noise_2]}]}
trading: {positions: [-1, 0, 1]}
strategy:
  training: {agents: 3, hidden_layers: [8], batch_size: 16, screening_steps: 600, steps: 600,
    learning_rate: 0.003, block_days: 20, caution: 0.5}
evaluation: {random_draws: 11}
deployment: {thresholds: {min_trades: 1, max_excess_p: 0.05}}
"""


@pytest.fixture
def rsc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Rsc:
    (tmp_path / "edge.yaml").write_text(EDGE)
    return rsc_in(tmp_path, monkeypatch, capsys)


def summary(run_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run_dir / "training/summary.json").read_text("utf-8"))
    return found


def test_a_planted_signal_is_found_and_what_the_agents_agree_on_is_said(rsc: Rsc) -> None:
    for run_id in ("one", "two"):
        said = rsc("run", "-c", "edge.yaml", "--run-id", run_id)
        assert (said.code, said.errors) == (0, [])
    assert "decision  Promoted. All five checks passed." in said.out
    one, two = Path("runs/one"), Path("runs/two")
    assert statuses(one) == ["complete"] * 6
    for name in REPEATABLE:
        assert sha256_file(one / name) == sha256_file(two / name), name
    found = summary(one)
    assert found["stages"] == {"screening": 600, "deciding": 1200}
    assert (found["steps"], found["agents"], found["baseline"]) == (1200, 3, 0.0)
    assert found["relevance"]["signal"] == 1.0
    for name, agreement in found["agreement"].items():
        assert (found["relevance"][name] > 0.0) == (agreement > found["agreement_needed"])
    history = pd.read_csv(one / "training/history.csv")
    assert history["step"].tolist() == list(range(100, 1300, 100))
    page = (one / "evaluation/report.md").read_text("utf-8")
    assert f"| signal | {found['agreement']['signal']:.3g} | 1 |" in page
    assert f"It must exceed {found['agreement_needed']:.3g};" in page
    assert "Mean loss of stage deciding: " in page
    assert f"The floor ({found['loss_floor']:.4g}) is" in page
    card = (one / "deployment/package/MODEL_CARD.md").read_text("utf-8")
    assert "ensemble of 3 action-value networks" in card
    trades = pd.read_csv(one / "evaluation/trades.csv")
    assert trades[["advantage_bps", "spread_bps"]].notna().all(axis=None)


@pytest.mark.parametrize(("positions", "held"), [("[-1, 0, 1]", 0), ("[0, 1]", 1)])
def test_agents_that_agree_on_nothing_hold_the_baseline_and_the_run_says_so(
    rsc: Rsc, positions: str, held: int
) -> None:
    keys = ("strategy.training.caution=1000", f"trading.positions={positions}")
    said = rsc("run", "-c", "edge.yaml", "--run-id", "mine", *(f"--set={key}" for key in keys))
    assert (said.code, said.errors) == (0, [])
    sentence = (
        f"The policy is a constant exposure of {held}, the baseline: the agents of the ensemble "
        "agree on the effect of none of the 3 features."
    )
    assert sentence in said.err
    assert sentence in said.out
    run_dir = Path("runs/mine")
    found = summary(run_dir)
    assert found["fallback"] == sentence
    assert found["stages"] == {"screening": 600}
    assert set(found["relevance"].values()) == {0.0}
    for name in ("evaluation/report.md", "evaluation/report.html"):
        page = (run_dir / name).read_text("utf-8")
        assert sentence in page
        assert "none of the 3 features, so nothing was learned from them" in page
    assert sentence in (run_dir / "deployment/package/MODEL_CARD.md").read_text("utf-8")
    equity = pd.read_csv(run_dir / "evaluation/equity.csv")
    own = equity[(equity["symbol"] == "SYN") & (equity["strategy"] == "DQN ensemble")]
    assert own["exposure"].iloc[1:].tolist() == [held] * (len(own) - 1)


def test_without_a_screening_every_feature_is_read(rsc: Rsc) -> None:
    said = rsc("run", "-c", "edge.yaml", "--run-id", "mine", "--set=strategy.training.caution=0")
    assert (said.code, said.errors) == (0, [])
    found = summary(Path("runs/mine"))
    assert (found["stages"], found["agreement"]) == ({"deciding": 600}, {})
    assert found["relevance"] == {"signal": 1.0, "noise_1": 1.0, "noise_2": 1.0}
    page = Path("runs/mine/evaluation/report.md").read_text("utf-8")
    assert "Agreement" not in page
