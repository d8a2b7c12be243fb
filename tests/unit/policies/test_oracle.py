"""Dynamic programming against every path there is, and against every strategy."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.grid import follow
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.policies.baselines import ConstantPolicy, CrossoverPolicy
from reinforcestrategycreator_pipeline.policies.oracle import OraclePolicy, best_choices
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DEAR,
    FREE,
    GRIDS,
    asset_of,
    random_asset,
    random_targets,
    repeatable,
)

INPUTS = Inputs(("f0", "f1", "f2"))


def best_path(table, start):
    value, choice = best_choices(table)
    return value[start], follow(choice, start)


def brute_force(table, start):
    """Return the value of the best of all k^n paths, in lexicographic order."""
    n, k, _ = table.shape
    best, best_targets = -np.inf, None
    for path in itertools.product(range(k), repeat=n):
        held = (start, *path[:-1])
        value = sum(table[t, p, q] for t, (p, q) in enumerate(zip(held, path, strict=True)))
        if value > best:
            best, best_targets = value, path
    return best, best_targets


@repeatable
@given(st.integers(1, 5), st.integers(2, 4), st.integers(0, 10_000), st.data())
def test_equals_brute_force(n, k, seed, data):
    table = np.random.default_rng(seed).normal(size=(n, k, k))
    start = data.draw(st.integers(0, k - 1))
    value, path = best_path(table, start)
    expected, targets = brute_force(table, start)
    assert value == pytest.approx(expected, abs=1e-12)
    assert tuple(path) == targets


def test_equals_brute_force_on_prices():
    for seed in range(6):
        bars = random_asset(7, seed, volatility=0.05)
        market = ExogenousMarket([bars], (-1.0, 0.0, 1.0), DEAR)
        table = market.log_growth[:6]
        value, path = best_path(table, market.flat)
        expected, targets = brute_force(table, market.flat)
        assert value == pytest.approx(expected, abs=1e-13)
        assert tuple(path) == targets


def test_by_hand_cost_decides():
    # Up 3%, down 1%, up 3% from close to close, fills at the close before: leaving for the dip
    # saves 1% and costs 2 c.
    price = np.array([100.0, 103.0, 103.0 * 0.99, 103.0 * 0.99 * 1.03])
    bars = asset_of(np.concatenate([price[:1], price[:-1]]), price)
    for bps, expected in (
        (10.0, [1, 0, 1]),
        (100.0, [1, 1, 1]),
        (200.0, [1, 1, 1]),
        (600.0, [0, 0, 0]),
    ):
        costs = type(FREE)(bps, 0, 0, 0, 0)
        market = ExogenousMarket([bars], (0.0, 1.0), costs)
        assert best_path(market.log_growth[:3], 0)[1].tolist() == expected


def test_ties_go_to_the_lowest_index():
    value, path = best_path(np.zeros((4, 3, 3)), 1)
    assert value == 0.0
    assert path.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("costs", [FREE, DEAR], ids=["free", "dear"])
@pytest.mark.parametrize(
    "grid", [(0.0, 1.0), (-1.0, 0.0, 1.0), (-1.0, 0.0, 0.5, 1.0, 2.0)], ids=str
)
def test_no_strategy_on_the_grid_beats_it(grid, costs):
    for seed in range(3):
        bars = random_asset(120, seed)
        targets = OraclePolicy(grid, INPUTS, costs).targets(bars)
        best = run_backtest("oracle", bars, targets, costs, 1.0).equity[-1]
        policies = [ConstantPolicy(grid, INPUTS, i) for i in range(len(grid))]
        policies.append(CrossoverPolicy(grid, INPUTS, 3, 10))
        rivals = [policy.targets(bars) for policy in policies]
        rivals += [random_targets(119, grid, s, stay) for s in range(3) for stay in (0.0, 0.9)]
        for targets in rivals:
            rival = run_backtest("rival", bars, targets, costs, 1.0).equity[-1]
            assert rival <= best * (1 + 1e-12)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_its_value_is_the_backtests_equity(grid):
    bars = random_asset(300, 8)
    market = ExogenousMarket([bars], grid, DEAR)
    value, path = best_path(market.log_growth[:-1], market.flat)
    equity = run_backtest("it", bars, market.positions[path], DEAR, 1.0).equity
    assert np.log(equity[-1]) == pytest.approx(value, rel=1e-11)


def test_greedy_step_by_step_is_not_enough():
    """The planted fault of an oracle that looks one bar ahead only must show."""
    worse = 0
    for seed in range(10):
        market = ExogenousMarket([random_asset(60, seed)], (-1.0, 0.0, 1.0), DEAR)
        table, held, myopic = market.log_growth[:-1], market.flat, 0.0
        for row in table:
            nxt = int(row[held].argmax())
            myopic += row[held, nxt]
            held = nxt
        worse += best_path(table, market.flat)[0] > myopic + 1e-3
    assert worse >= 8
