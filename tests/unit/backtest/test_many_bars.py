"""What is computed otherwise for very many bars is the same as for few."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.backtesting import compare, store
from reinforcestrategycreator_pipeline.backtesting.compare import ends_of, ends_of_shifts
from reinforcestrategycreator_pipeline.backtesting.run import combine, run_backtest
from reinforcestrategycreator_pipeline.backtesting.store import (
    bars_table,
    read_results,
    table_for_people,
    write_results,
)
from reinforcestrategycreator_pipeline.envs import grid
from reinforcestrategycreator_pipeline.envs.grid import follow, follow_all
from reinforcestrategycreator_pipeline.execution.schedule import rebalancing_bars
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.policies import oracle
from reinforcestrategycreator_pipeline.policies.oracle import OraclePolicy, best_choices
from reinforcestrategycreator_pipeline.statistics.bootstrap_mean import bootstrap_mean
from reinforcestrategycreator_pipeline.statistics.random_timing import joint_shifts, shift_by
from reinforcestrategycreator_pipeline.storage import parquet_files
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DEAR,
    asset_of,
    random_asset,
    random_targets,
)
from reinforcestrategycreator_pipeline.verdict.robustness import summed


def span_of(assets, rule="never"):
    rules = SimpleNamespace(costs=DEAR, rebalance=rule)
    return SimpleNamespace(assets=assets, rules=rules)


@pytest.mark.parametrize(
    ("targets", "volatility"),
    [((-1.0, 0.0, 1.0), 0.02), ((0.5, 1.0), 0.02), (tuple(np.linspace(0, 1, 11)), 0.02),
     ((-3.0, 0.0, 3.0), 0.15)],
    ids=["few", "never flat", "many", "ruined"],
)  # fmt: skip
def test_ends_from_one_table_are_those_of_each_path(monkeypatch, targets, volatility):
    assets = [random_asset(n, n, str(n), volatility) for n in (90, 61)]
    own = [random_targets(len(a.times) - 1, targets, 3) for a in assets]
    shifts = joint_shifts(own, 25, np.random.default_rng(0))
    whole = ends_of_shifts(span_of(assets), own, shifts, np.empty(0, np.int64))
    each = [ends_of(a, shift_by(x, shifts), DEAR) for a, x in zip(assets, own, strict=True)]
    np.testing.assert_array_equal(whole[0], each)
    monkeypatch.setattr(compare, "_AT_ONCE", 1)
    monkeypatch.setattr(compare, "_CHUNK", 17)
    found = ends_of_shifts(span_of(assets), own, shifts, np.empty(0, np.int64))
    for one, other in zip(found, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


def test_ends_of_a_rebalanced_portfolio_are_the_same_in_parts(monkeypatch):
    assets = [random_asset(90, seed, str(seed)) for seed in range(3)]
    own = [random_targets(89, (-1.0, 0.0, 1.0), seed) for seed in range(3)]
    shifts = joint_shifts(own, 25, np.random.default_rng(0))
    stamps = rebalancing_bars({a.symbol: a.times for a in assets}, 7)
    given = span_of(assets, 7), own, shifts, stamps
    ends, whole = ends_of_shifts(*given)
    assert not np.allclose(ends.sum(axis=0), whole)
    monkeypatch.setattr(compare, "_AT_ONCE", 4 * 89 * 3)
    for one, other in zip(ends_of_shifts(*given), (ends, whole), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_the_oracle_of_few_targets_is_that_of_many(monkeypatch, k):
    table = np.random.default_rng(k).normal(size=(300, k, k)).round(1)  # with ties
    monkeypatch.setattr(oracle, "_CHUNK", 64)
    few = best_choices(table)
    monkeypatch.setattr(oracle, "_FEW", 0)
    many = best_choices(table)
    np.testing.assert_array_equal(few[0], many[0])
    np.testing.assert_array_equal(few[1], many[1])


def test_the_oracle_in_parts_decides_the_same(monkeypatch):
    asset, policy = random_asset(300, 1), OraclePolicy((-1.0, 0.0, 1.0), Inputs(()), DEAR)
    whole = policy.table(asset)
    monkeypatch.setattr(oracle, "_CHUNK", 64)
    np.testing.assert_array_equal(policy.table(asset), whole)


def test_paths_that_stay_or_do_not_depend_on_what_is_held(monkeypatch):
    rng = np.random.default_rng(0)
    maps = np.array([[0, 0, 0], [2, 2, 2], [0, 1, 2], [0, 1, 2], [1, 0, 2], [1, 1, 2]])
    for kinds in (2, 4, 6):  # constant; or staying; or neither
        choice = maps[rng.integers(kinds, size=200)]
        for start in range(3):
            held, expected = start, []
            for row in choice.tolist():
                held = row[held]
                expected.append(held)
            assert follow(choice, start).tolist() == expected
    choices, starts = maps[rng.integers(6, size=(5, 50))], np.array([0, 1, 2, 0, 1])
    few = follow_all(choices, starts)
    monkeypatch.setattr(grid, "_FEW", 0)
    np.testing.assert_array_equal(few, follow_all(choices, starts))


def test_round_trips_of_a_position_that_flips_at_every_bar():
    n = 40
    asset = random_asset(n + 1, 5)
    trades = run_backtest("x", asset, np.tile([1.0, -1.0], n // 2), DEAR, 1e5).trades
    assert trades["bars"].tolist() == [1] * n
    assert trades["open"].tolist() == [False] * (n - 1) + [True]
    assert trades["side"].tolist() == ["long", "short"] * (n // 2)


def test_the_mean_exposure_over_bars_that_one_account_lacks():
    """By hand: B has the bars 1, 2 and 4 of A's 0 to 5; its target stays in force over bar 3."""
    day = 86_400 * 10**9
    flat = np.full(6, 10.0)
    a = asset_of(flat, flat, np.arange(6) * day, symbol="A")
    b = asset_of(flat[:3], flat[:3], np.array([1, 2, 4]) * day, symbol="B")
    free = dataclasses.replace(DEAR, commission_bps=0.0, spread_bps=0.0, slippage_bps=0.0)
    one = run_backtest("x", a, np.zeros(5), free, 100.0)
    two = run_backtest("x", b, np.array([1.0, 0.5]), free, 100.0)
    # Decided at 1 and filled at 2; over 3, which ends before the next fill, it stays.
    assert combine([one, two]).exposure.tolist() == [0.0, 0.5, 0.5, 0.25, 0.0]


def minutes(n, start="2024-01-01 23:58"):
    """Return results of n bars of a minute, two strategies, on an asset and as a portfolio."""
    times = pd.date_range(start, periods=n, freq="min", tz="UTC").as_unit("ns").asi8
    bars = dataclasses.replace(random_asset(n, 1, "A"), times=times)
    grids = {"it": random_targets(n - 1, (0.0, 1.0), 2), "flat": np.zeros(n - 1)}
    found = {name: run_backtest(name, bars, x, DEAR, 1e5) for name, x in grids.items()}
    return {"PORTFOLIO": {name: combine([r]) for name, r in found.items()}, "A": found}


def test_the_table_for_people_is_small_enough_for_them():
    results = minutes(2_000)
    whole, said = table_for_people(results)
    pd.testing.assert_frame_equal(whole, bars_table(results))
    assert said == ""
    portfolio, said = table_for_people(results, most=4_000)
    assert said == "the portfolio alone"
    rest = whole[whole["symbol"] == "PORTFOLIO"]
    pd.testing.assert_frame_equal(portfolio, rest, check_like=True)
    days, said = table_for_people(results, most=3_999)
    assert said == "the portfolio at the last close of each day"
    # 23:58, 23:59 and 24:00 of the first day, a whole day, and 557 bars of the next.
    it = days[days["strategy"] == "it"]
    closes = ["2024-01-02 00:00", "2024-01-03 00:00", "2024-01-03 09:17"]
    assert [f"{t:%Y-%m-%d %H:%M}" for t in it["timestamp"]] == closes
    own = results["PORTFOLIO"]["it"]
    edges = [2, 1442, 1999]
    assert it["equity"].tolist() == own.equity[edges].tolist()
    assert it["exposure"].tolist() == own.exposure[np.array(edges) - 1].tolist()
    for flow in ("costs", "turnover"):
        parts = np.split(getattr(own, flow), [2, 1442])
        np.testing.assert_allclose(it[flow], [part.sum() for part in parts], rtol=1e-12)


def test_results_in_several_groups_of_rows_are_the_same(tmp_path, monkeypatch):
    results = minutes(300)
    read = []
    for rows in (parquet_files._ROWS, 500):
        monkeypatch.setattr(parquet_files, "_ROWS", rows)
        paths = tmp_path / f"bars{rows}", tmp_path / f"trades{rows}"
        write_results(*paths, results)
        read.append(read_results(*paths))
    for symbol, strategies in results.items():
        for name, expected in strategies.items():
            for found in read:
                assert found[symbol][name].equity.tobytes() == expected.equity.tobytes()
                assert found[symbol][name].timestamps.equals(expected.timestamps)
    assert store.MOST_ROWS < 1_048_576  # what a spreadsheet holds


def test_sums_over_neighbors_have_the_mean_and_what_the_bootstrap_says_of_it():
    rng = np.random.default_rng(1)
    noise = rng.standard_t(4, size=60_013)
    values = 0.02 + noise + 0.4 * np.concatenate([[0.0], noise[:-1]])
    groups = summed(values, 4_000)
    assert len(groups) == 4_000
    assert groups.mean() == pytest.approx(values.mean(), rel=1e-9)
    np.testing.assert_array_equal(summed(values, 60_013), values)
    one, other = (bootstrap_mean(x, np.random.default_rng(2), 999) for x in (values, groups))
    assert other.error == pytest.approx(one.error, rel=0.06)
    for name in ("low", "high"):
        assert abs(getattr(one, name) - getattr(other, name)) < 0.25 * one.error
    assert other.p == pytest.approx(one.p, abs=0.02)
