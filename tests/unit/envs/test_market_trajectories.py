"""Trajectories: where they start, how they walk, where they end."""

import ast
import inspect
import textwrap

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.trajectories import MarketTrajectories
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR, asset_of, random_asset

LENGTHS = (9, 2, 14, 5)


@pytest.fixture
def market():
    assets = [random_asset(n, i, symbol=f"A{i}") for i, n in enumerate(LENGTHS)]
    return ExogenousMarket(assets, (-1.0, 0.0, 1.0), DEAR)


def crossings(market, trajectories, steps=400):
    """Walk at random; return how many steps left an asset, and how many walks began anew."""
    asset_of_row = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    rng = np.random.default_rng(1)
    crossed = begun = 0
    for _ in range(steps):
        count = len(trajectories.rows)
        actions = rng.integers(3, size=count)
        rows, positions = trajectories.step(actions)
        assert not market.is_last[rows].any()  # from the last bar nothing can be decided
        assert not market.is_last[trajectories.rows].any()
        crossed += np.count_nonzero(asset_of_row[rows] != asset_of_row[rows + 1])
        follows = trajectories.rows == rows + 1
        must_end = market.is_last[rows + 1] | market.ruined[rows, positions, actions]
        assert (follows | must_end).all()
        on = follows & ~must_end
        np.testing.assert_array_equal(trajectories.held[on], actions[on])
        crossed += np.count_nonzero(on & (asset_of_row[trajectories.rows] != asset_of_row[rows]))
        begun += np.count_nonzero(must_end)
    return crossed, begun


def test_never_crosses_from_asset_to_asset(market):
    crossed, begun = crossings(market, MarketTrajectories(market, 64, np.random.default_rng(0)))
    assert crossed == 0
    assert begun > 1000


def test_planted_crossing_is_seen(market):
    trajectories = MarketTrajectories(market, 64, np.random.default_rng(0))
    market.is_last = np.zeros_like(market.is_last)
    market.is_last[-1] = True
    assert crossings(market, trajectories)[0] > 0


def test_step_returns_where_it_was(market):
    trajectories = MarketTrajectories(market, 5, np.random.default_rng(2))
    rows, positions = trajectories.rows.copy(), trajectories.held.copy()
    states = trajectories.states()
    np.testing.assert_array_equal(states, market.states(rows, positions))
    actions = np.array([0, 1, 2, 0, 1])
    was = trajectories.step(actions)
    np.testing.assert_array_equal(was[0], rows)
    np.testing.assert_array_equal(was[1], positions)
    before = trajectories.held.copy()
    actions[:] = 2  # what the caller does with its array later is its own affair
    np.testing.assert_array_equal(trajectories.held, before)


def test_starts_are_uniform_over_decisions_and_targets(market):
    count = 130_000
    trajectories = MarketTrajectories(market, count, np.random.default_rng(3))
    cells = trajectories.rows * 3 + trajectories.held
    valid = (market.decision_rows[:, None] * 3 + np.arange(3)).ravel()
    counts = np.bincount(cells, minlength=3 * sum(LENGTHS))
    assert counts[valid].sum() == count
    # 78 cells: the chi-square of 77 degrees of freedom is below 121.1 with probability 0.999.
    expected = count / len(valid)
    assert ((counts[valid] - expected) ** 2 / expected).sum() < 121.1


def test_new_starts_are_first_bars_of_assets_drawn_uniformly(market):
    trajectories = MarketTrajectories(market, 20_000, np.random.default_rng(4))
    trajectories.rows[:] = 9  # the asset of two bars: every walk ends now
    trajectories.step(np.ones(20_000, dtype=np.int64))
    cells = market.starts[:, None] * 3 + np.arange(3)
    counts = np.bincount(trajectories.rows * 3 + trajectories.held, minlength=90)[cells]
    assert counts.sum() == 20_000
    # 12 cells: the chi-square of 11 degrees of freedom is below 31.3 with probability 0.999.
    expected = 20_000 / 12
    assert ((counts - expected) ** 2 / expected).sum() < 31.3


def unevenness(market, restart_anywhere=False, count=20_000):
    """Return the chi-square of where walks are after 1, 2, ... 40 steps, the largest."""
    trajectories = MarketTrajectories(market, count, np.random.default_rng(6))
    if restart_anywhere:
        draw = trajectories._draw
        trajectories._draw = lambda choices, n: draw(market.decision_rows, n)
    rng, expected, worst = np.random.default_rng(7), count / len(market.decision_rows), 0.0
    for _ in range(40):
        trajectories.step(rng.integers(3, size=count))
        counts = np.bincount(trajectories.rows, minlength=sum(LENGTHS))[market.decision_rows]
        worst = max(worst, float(((counts - expected) ** 2 / expected).sum()))
    return worst


def test_every_bar_is_visited_equally_often_at_all_times(market):
    assert not market.ruined.any()
    # 25 degrees of freedom: the largest of 40 is below 65 with probability 0.999.
    assert unevenness(market) < 65
    # Walks that begin anew at any bar crowd the ends of the assets.
    assert unevenness(market, restart_anywhere=True) > 1_000


def test_ruin_begins_anew():
    bars = asset_of([10] * 6, [10, 10, 10, 30, 10, 10])
    other = asset_of([10] * 9, [10] * 9)
    market = ExogenousMarket([bars, other], (-1.0, 0.0, 1.0), DEAR)
    trajectories = MarketTrajectories(market, 1_000, np.random.default_rng(0))
    trajectories.rows[:], trajectories.held[:] = 2, 1
    actions = np.repeat([0, 1], 500)
    trajectories.step(actions)
    assert (trajectories.rows[500:] == 3).all()  # flat walks on
    assert set(trajectories.rows[:500].tolist()) == {0, 6}  # the shorts are ruined


def test_same_generator_same_walk(market):
    def walk(seed):
        trajectories = MarketTrajectories(market, 16, np.random.default_rng(seed))
        seen = []
        for t in range(40):
            rows, positions = trajectories.step(np.full(16, t % 3))
            seen += [rows.tolist(), positions.tolist()]
        return seen

    assert walk(7) == walk(7)
    assert walk(7) != walk(8)


def test_no_python_loop_over_trajectories():
    source = textwrap.dedent(inspect.getsource(MarketTrajectories))
    gathers = (ExogenousMarket.states, ExogenousMarket.gather, ExogenousMarket.gather_all_actions)
    for text in (source, *(textwrap.dedent(inspect.getsource(g)) for g in gathers)):
        loops = (ast.For, ast.While, ast.ListComp, ast.GeneratorExp, ast.DictComp, ast.SetComp)
        assert not [n for n in ast.walk(ast.parse(text)) if isinstance(n, loops)]


def test_one_trajectory_on_the_shortest_market():
    market = ExogenousMarket([asset_of([1, 1], [1, 2])], (0.0, 1.0), DEAR)
    trajectories = MarketTrajectories(market, 1, np.random.default_rng(0))
    for _ in range(20):
        rows, _ = trajectories.step(np.array([1]))
        assert rows.tolist() == [0]
