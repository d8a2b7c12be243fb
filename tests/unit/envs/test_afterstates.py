"""The parts of rewards: by hand, and their values against dynamic programming."""

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.envs.afterstates import Afterstates
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.policies.oracle import best_choices
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DEAR,
    FREE,
    GRIDS,
    asset_of,
    random_asset,
)

ONE_PERCENT = CostConfig(100, 0, 0, 0, 0)


def market_of(bars, grid=(0.0, 1.0), costs=ONE_PERCENT, **options):
    return ExogenousMarket([bars], grid, costs, reward_scale=1.0, **options)


def test_the_parts_by_hand():
    # Bars (open, close): (10, 10), (11, 12), (12, 6). Long earns ln 1.1 over the first gap.
    parts = Afterstates(market_of(asset_of([10, 11, 12], [10, 12, 6])))
    np.testing.assert_allclose(parts.gap, [[0, np.log(1.1)], [0, 0], [0, 0]], atol=1e-7)
    np.testing.assert_allclose(
        parts.held, [[0, np.log(12 / 11)], [0, np.log(0.5)], [0, 0]], atol=1e-7
    )
    np.testing.assert_allclose(parts.cost, [[0, np.log(1.01)], [-np.log(0.99), 0]], atol=1e-7)
    assert parts.alive.all()
    assert parts.residual < 1e-6


def test_returns_by_hand():
    parts = Afterstates(market_of(asset_of([10, 11, 12], [10, 12, 6])))
    # Flat at the next close: stay for 0.1, or buy 0.3 for ln 1.01. Long: stay for 0.3.
    found = parts.returns(np.array([0]), np.array([[0.1, 0.3]], np.float32), gamma=0.5)
    flat, long = 0.5 * (0.3 - np.log(1.01)), np.log(12 / 11) + 0.5 * 0.3
    np.testing.assert_allclose(found, [[flat, long]], rtol=1e-6)


def test_the_next_gap_belongs_to_the_target_held_over_it():
    parts = Afterstates(market_of(asset_of([10, 10, 15], [10, 10, 15]), costs=FREE))
    found = parts.returns(np.array([0]), np.zeros((1, 2), np.float32), gamma=0.9)
    np.testing.assert_allclose(found, [[0, 0.9 * np.log(1.5)]], rtol=1e-6, atol=1e-7)


def test_nothing_follows_a_ruin():
    bars = asset_of([10, 10, 30], [10, 30, 30])
    parts = Afterstates(market_of(bars, (-1.0, 0.0, 1.0), FREE))
    assert parts.alive[0].tolist() == [False, True, True]
    found = parts.returns(np.array([0]), np.full((1, 3), 7.0, np.float32), gamma=1.0)
    assert found[0, 0] == parts.held[0, 0]
    assert found[0, 1] == pytest.approx(7.0)


@pytest.mark.parametrize("grid", GRIDS)
def test_they_add_up_to_the_rewards(grid):
    market = market_of(random_asset(300, 3), grid, DEAR)
    parts, rows = Afterstates(market), market.decision_rows
    total = parts.gap[rows, :, None] + parts.held[rows, None, :] - parts.cost
    error = np.sqrt(np.square(total - market.rewards[rows]).mean())
    size = np.sqrt(np.square(market.rewards[rows]).mean())
    assert error / size == pytest.approx(parts.residual, rel=1e-3, abs=1e-6)
    assert parts.residual < 0.05
    assert (np.diag(parts.cost) == 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_values_worked_out_backwards_decide_as_the_oracle(seed):
    """With commission alone, long or flat, the parts are exact: so is dynamic programming on U."""
    market = market_of(random_asset(60, seed))
    parts, last = Afterstates(market), market.decision_rows[-1]
    u = np.zeros((last + 1, 2), np.float32)
    u[last] = parts.held[last]
    for t in range(last - 1, -1, -1):
        u[t] = parts.returns(np.array([t]), u[[t + 1]], gamma=1.0)[0]
    greedy = (u[:, None, :] - parts.cost).argmax(axis=2)
    best, table = best_choices(market.log_growth[market.decision_rows])
    np.testing.assert_array_equal(greedy, table)
    np.testing.assert_allclose((u[0] - parts.cost[market.flat]).max(), best[market.flat], rtol=1e-5)


def test_a_reward_of_the_users_own_is_divided_too():
    bars = random_asset(200, 5)
    market = market_of(bars, reward=lambda growth: np.tanh(20 * (growth - 1)))
    parts = Afterstates(market)
    assert 1e-4 < parts.residual < 0.3
    assert parts.held.any()
