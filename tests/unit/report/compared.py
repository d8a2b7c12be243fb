"""Made-up runs for the page that compares them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.backtesting.metrics.base import MetricValue
from reinforcestrategycreator_pipeline.reporting.comparison.data import ComparedRun, ComparisonData
from reinforcestrategycreator_pipeline.verdict.answer import Answer
from reinforcestrategycreator_pipeline.verdict.decision import Check, Decision
from reinforcestrategycreator_pipeline.verdict.judgement import Judgement
from reinforcestrategycreator_pipeline.verdict.looks import Look, Looked

COSTS = {"commission_bps": 1.0, "spread_bps": 2.0}


def closes(start="2010-01-04", bars=250, freq="B"):
    return pd.date_range(start, periods=bars + 1, freq=freq, tz="UTC")


def a_run(
    name,
    index=None,
    returns=None,
    sharpe=1.0,
    level="no evidence",
    p=0.4,
    strategy="ridge",
    symbols=("IBM",),
    data="the same",
    costs=None,
    folder=None,
):
    """Return a run that was judged on its returns."""
    index = closes() if index is None else index
    if returns is None:
        returns = np.random.default_rng(len(name)).normal(4e-4, 0.01, len(index) - 1)
    growth = pd.Series(1e5 * np.cumprod(np.concatenate([[1.0], 1.0 + returns])), index)
    values = {"sharpe": sharpe, "total_return": 0.25, "max_drawdown": -0.125, "trades": 12.0}
    known = {key: MetricValue(value, "") for key, value in values.items()}
    answer = Answer(level, p, 3, sharpe, 0.2, "cash", len(index) - 1, None, 1.5)
    judgement = Judgement(
        strategy,
        "",
        {"PORTFOLIO": 252.0},
        {"PORTFOLIO": {strategy: known}},
        {},
        Decision((Check("trades", "at least 10", "3", False),)),
        answer=answer,
    )
    ends = index[0].isoformat(), index[-1].isoformat()
    look = Look(name, "", "", "", *ends, symbols, {"data": data}, (), {}, False, "")
    config = {"trading": {"costs": {**COSTS, **(costs or {})}}}
    manifest = SimpleNamespace(status="complete", config=config)
    hold = pd.Series(np.linspace(1e5, 1.2e5, len(index)), index)
    folder = Path("runs") / name if folder is None else folder
    return ComparedRun(name, folder, manifest, judgement, growth, hold, look, Looked(2, 5, 0, 0))


def without_result(name, status="failed"):
    config = {"trading": {"costs": dict(COSTS)}}
    return ComparedRun(name, Path("runs") / name, SimpleNamespace(status=status, config=config))


def compared(*runs, **differences):
    return ComparisonData(tuple(runs), {key: tuple(texts) for key, texts in differences.items()})


def with_p(run, p):
    return replace(run, judgement=replace(run.judgement, answer=replace(run.judgement.answer, p=p)))
