"""Made-up but complete report data: random strategies on random walks."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import compute_metrics
from reinforcestrategycreator_pipeline.backtesting.results import TRADE_COLUMNS, StrategyResult
from reinforcestrategycreator_pipeline.reporting.behavior.found import (
    Behavior,
    Bin,
    Importance,
    LargestTrade,
    Seen,
)
from reinforcestrategycreator_pipeline.reporting.data import ReportData, Screening
from reinforcestrategycreator_pipeline.verdict.answer import Answer
from reinforcestrategycreator_pipeline.verdict.chance import Chance, WindowChance
from reinforcestrategycreator_pipeline.verdict.decision import Check, Decision
from reinforcestrategycreator_pipeline.verdict.judgement import Judgement

COST = 0.001


def trades_frame(rows=()):
    return pd.DataFrame(list(rows), columns=list(TRADE_COLUMNS))


def simulate(strategy, symbol, frame, exposure, start=100_000.0):
    """A plain backtest, one bar after the other, at closes: enough to look at."""
    close = frame["close"].to_numpy()
    equity, turnover, costs = [start], [], []
    rows, entry, held = [], None, 0.0
    for bar, target in enumerate(exposure):
        traded = abs(target - held)
        paid = equity[-1] * traded * COST
        if target != held:
            if entry is not None:
                rows.append(_trade(symbol, frame, entry, bar, equity, False))
                entry = None
            if target != 0:
                entry = (bar, target)
        growth = 1 + target * (close[bar + 1] / close[bar] - 1)
        turnover.append(traded)
        costs.append(paid)
        equity.append((equity[-1] - paid) * growth)
        held = target
    if entry is not None:
        rows.append(_trade(symbol, frame, entry, len(exposure), equity, True))
    return StrategyResult(
        strategy,
        symbol,
        pd.DatetimeIndex(frame.index),
        np.array(equity),
        np.array(exposure, dtype=float),
        np.array(turnover),
        np.array(costs),
        trades_frame(rows),
    )


def _trade(symbol, frame, entry, bar, equity, still_open):
    begin, target = entry
    pnl = equity[bar] - equity[begin]
    return (
        symbol,
        "long" if target > 0 else "short",
        frame.index[begin + 1],
        frame.index[bar],
        float(frame["open"].iloc[begin + 1]),
        float(frame["open"].iloc[bar]),
        float(target),
        bar - begin,
        pnl,
        pnl / equity[begin],
        equity[begin] * COST * 2,
        still_open,
    )


def portfolio(strategy, members):
    equity = sum(m.equity for m in members)
    weights = np.array([m.equity[:-1] for m in members]) / equity[:-1]
    return StrategyResult(
        strategy,
        "PORTFOLIO",
        members[0].timestamps,
        equity,
        (weights * [m.exposure for m in members]).sum(0),
        (weights * [m.turnover for m in members]).sum(0),
        sum(m.costs for m in members),
        pd.concat([m.trades for m in members if len(m.trades)] or [trades_frame()]).reset_index(
            drop=True
        ),
    )


def judged(results, periods_per_year, names=None, checks=(), strategy="ridge"):
    """Judge results by some metrics, with checks that were made elsewhere."""
    periods = dict.fromkeys(results, periods_per_year)
    metrics = {
        asset: {n: compute_metrics(r, periods_per_year, names) for n, r in strategies.items()}
        for asset, strategies in results.items()
    }
    decision = Decision(tuple(checks))
    return Judgement(strategy, "20 inputs", periods, metrics, {}, decision)


def build_report(symbols=("AAPL", "IBM", "MSFT", "GOOG"), bars=650, seed=7, shorts=True):
    rng = np.random.default_rng(seed)
    index = pd.bdate_range("2010-08-02", periods=bars + 1, tz="UTC", name="timestamp")
    index = index + pd.Timedelta(hours=21)
    grid = (-1.0, 0.0, 1.0) if shorts else (0.0, 1.0)
    prices, results = {}, {}
    for symbol in symbols:
        close = 50 * np.exp(np.cumsum(rng.normal(0.0005, 0.016, bars + 1)))
        frame = pd.DataFrame({"open": close * np.exp(rng.normal(0, 0.004, bars + 1))}, index)
        frame["close"] = close
        frame["high"] = frame[["open", "close"]].max(axis=1) * 1.004
        frame["low"] = frame[["open", "close"]].min(axis=1) * 0.996
        prices[symbol] = frame
        returns = np.diff(close) / close[:-1]
        noisy = pd.Series(returns + rng.normal(0, 0.06, bars)).ewm(span=12).mean().to_numpy()
        policy = np.where(noisy > 0.004, 1.0, np.where(noisy < -0.012, grid[0], 0.0))
        fast = frame["close"].rolling(20, min_periods=1).mean()
        slow = frame["close"].rolling(60, min_periods=1).mean()
        exposures = {
            "ridge": policy,
            "buy and hold": np.ones(bars),
            "flat": np.zeros(bars),
            "random (same turnover)": np.repeat(rng.choice(grid, bars // 9 + 1), 9)[:bars],
            "moving-average crossover": (fast > slow).to_numpy()[:-1].astype(float),
            "oracle": np.where(returns > 0.002, 1.0, np.where(returns < -0.002, grid[0], 0.0)),
        }
        results[symbol] = {name: simulate(name, symbol, frame, e) for name, e in exposures.items()}
    names = list(exposures)
    results["PORTFOLIO"] = {n: portfolio(n, [results[s][n] for s in symbols]) for n in names}
    steps = np.arange(50, 8001, 50)
    decay = np.exp(-steps / 900)
    history = pd.DataFrame(
        {
            "step": steps,
            "loss": (2.6e-4 + 8e-4 * decay) * np.exp(rng.normal(0, 0.12, len(steps))),
            "grad_norm": 0.03 * np.exp(rng.normal(0, 0.3, len(steps))) * (0.3 + decay),
            "update_norm": 8e-4 * np.exp(rng.normal(0, 0.2, len(steps))) * (0.1 + decay),
            "q_mean": 0.01 * (1 - decay) + rng.normal(0, 3e-4, len(steps)),
            "q_max": 0.024 * (1 - decay) + rng.normal(0, 8e-4, len(steps)),
            "exploration_rate": np.maximum(0.05, 1 - steps / 4000),
            "steps_per_second": rng.normal(2600, 60, len(steps)),
            "validation_growth": np.where(
                steps % 500 == 0, 0.1 * (1 - decay) + rng.normal(0, 0.03, len(steps)), np.nan
            ),
        }
    )
    at = pd.Timestamp
    return ReportData(
        run_id="20260101-120000-example",
        seed=seed,
        created="2026-01-01T12:00:00+00:00",
        version="0.1.0",
        config_yaml="seed: 7\ndata:\n  source: sample\n",
        spans={
            "train": (at("2000-03-01 21:00", tz="UTC"), at("2008-06-02 21:00", tz="UTC")),
            "validation": (at("2008-06-10 21:00", tz="UTC"), at("2010-07-26 21:00", tz="UTC")),
            "test": (index[0], index[-1]),
        },
        bar_counts={"train": 8300, "validation": 2140, "test": bars * len(symbols)},
        costs={"commission_bps": 1.0, "spread_bps": 2.0, "slippage_bps": 1.0},
        positions=grid,
        features=("return_1", "rsi_14"),
        lookback=20,
        results=results,
        judgement=judged(
            results,
            260.0,
            checks=[
                Check("Sharpe ratio", "at least 0.5", "0.12", False),
                Check("max drawdown", "at least -40%", "-12.1%", True),
            ],
        ),
        prices=prices,
        history=history,
        notes=("AAPL: 2 splits adjusted.", "GOOG begins on 2004-08-19; earlier bars are absent."),
        provenance={
            "source": "sample",
            "licence": "public domain",
            "files": {"sample.parquet": {"sha256": "ab" * 32}},
        },
        loss_floor=2.6e-4,
        best_step=5500,
        stage_seconds={"data ingestion": 0.4, "training": 11.8},
    )


def with_confidence(data):
    """Return the report of a policy that says how sure it was of each of its trades."""

    def sure(result):
        n = len(result.trades)
        said = {"advantage_bps": np.arange(n) + 10.0, "spread_bps": np.full(n, 4.0)}
        return replace(result, trades=result.trades.assign(**said))

    results = {
        asset: {name: sure(r) if name == data.policy else r for name, r in strategies.items()}
        for asset, strategies in data.results.items()
    }
    return replace(data, results=results)


def with_screening(data, agreement=(("rsi_14", 0.25), ("<fast>", 1.0)), needed=0.5):
    """Return the report of an ensemble that was trained in two stages, of 3,000 and 5,000 steps.

    A feature is used as far as its agreement exceeds what is needed.
    """
    relevance = {name: max(0.0, 1.0 - needed / ratio) for name, ratio in agreement}
    stages = {"screening": 3000, "deciding": 8000}
    return replace(data, stages=stages, screening=Screening(dict(agreement), needed, relevance))


def with_behavior(data, names=("rsi_14", "<fast>")):
    """Return the report of a policy whose decisions by each feature were measured."""
    bins = tuple(Bin(float(k), 65, 0.1 * k, 0.4 * k - 2.0) for k in range(10))
    seen = tuple(Seen(name, 0.5, 3.0) for name in names)
    days = ("2010-09-01T21:00:00+00:00", "2010-09-02T21:00:00+00:00", "2011-03-01T21:00:00+00:00")
    trade = LargestTrade(
        *("IBM", "long", *days, False, 1.0, 120, 0.31, 36_000.0, 400.0, seen, 12.0, 4.0)
    )
    importances = {name: Importance(0.2 / (k + 1), -0.04, 0.01) for k, name in enumerate(names)}
    found = Behavior(dict.fromkeys(names, bins), importances, 650, 1, 5, (trade,))
    return replace(data, behavior=found)


def with_chance(data, p=0.24):
    """Return the report of a policy that was tested against chance."""
    window = WindowChance(
        "2020-01-31T00:00:00Z", "2020-03-31T00:00:00Z", 0.1, 0.05, 0.06, 0.7, p, 3.0
    )
    chance = Chance((window,), 4, 0.7, p, 0.7, (0.02, 0.12, -0.03, 0.09))
    answer = Answer("no evidence", p, 1, 0.7, 0.4, "always 1", 500, 4000, 1.4)
    return replace(data, judgement=replace(data.judgement, answer=answer, chance=chance))


@pytest.fixture(scope="session")
def report_kit():
    """The builders, for tests that need a variation."""
    return SimpleNamespace(
        build=build_report,
        with_confidence=with_confidence,
        with_screening=with_screening,
        with_chance=with_chance,
        with_behavior=with_behavior,
        simulate=simulate,
        trades_frame=trades_frame,
        judged=judged,
        replace=replace,
    )


@pytest.fixture(scope="session")
def report_data():
    return build_report()
