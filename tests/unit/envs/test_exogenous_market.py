"""The market's tables: by hand, and the gathers against an element by element reading."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.grid import check_positions, follow
from reinforcestrategycreator_pipeline.envs.span import AssetBars
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError, NonFiniteError
from reinforcestrategycreator_pipeline.execution.accounting import RUIN_GROWTH
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DAY,
    DEAR,
    FREE,
    GRIDS,
    asset_of,
    random_asset,
    repeatable,
)


@pytest.fixture
def two_assets():
    return [random_asset(7, 1, "A"), random_asset(5, 2, "B")]


@pytest.fixture
def market(two_assets):
    return ExogenousMarket(two_assets, (-1.0, 0.0, 1.0), DEAR)


def test_growth_by_hand():
    # Buying costs 1%: k = 0.01 with commission alone. Bars: (10, 10), (11, 12), (12, 6).
    bars = asset_of([10, 11, 12], [10, 12, 6])
    market = ExogenousMarket([bars], (0, 1), CostConfig(100, 0, 0, 0, 0), reward_scale=2.0)
    growth = np.exp(market.log_growth)
    # Flat to long at 11: 1 / 1.01, then 12 / 11. Long to long from 10: 12 / 10. Long to flat at
    # 11 from 10: 1.1 * 0.99.
    np.testing.assert_allclose(growth[0], [[1, 12 / 11 / 1.01], [1.1 * 0.99, 1.2]])
    np.testing.assert_allclose(growth[1], [[1, 0.5 / 1.01], [0.99, 0.5]])
    np.testing.assert_array_equal(market.log_growth[2], 0.0)
    np.testing.assert_allclose(market.rewards, 2 * market.log_growth, rtol=1e-6)
    assert market.flat == 0
    assert market.decision_rows.tolist() == [0, 1]
    assert market.is_last.tolist() == [False, False, True]
    assert not market.ruined.any()


def test_rows_of_assets_follow_each_other(market, two_assets):
    assert market.starts.tolist() == [0, 7]
    assert market.decision_rows.tolist() == [0, 1, 2, 3, 4, 5, 7, 8, 9, 10]
    assert market.is_last.nonzero()[0].tolist() == [6, 11]
    features = np.concatenate([a.features for a in two_assets]).astype(np.float32)
    np.testing.assert_array_equal(market.features, features)
    # Each asset's block is the table of that asset alone: nothing crosses the boundary.
    for start, asset in zip((0, 7), two_assets, strict=True):
        alone = ExogenousMarket([asset], (-1.0, 0.0, 1.0), DEAR, reward_scale=market.reward_scale)
        block = slice(start, start + len(asset.close))
        np.testing.assert_array_equal(market.log_growth[block], alone.log_growth)
        np.testing.assert_array_equal(market.rewards[block], alone.rewards)
    np.testing.assert_array_equal(market.rewards[[6, 11]], 0.0)


def test_states_are_features_and_the_previous_target(market):
    states = market.states(np.array([3, 8]), np.array([2, 0]))
    assert states.dtype == np.float32
    np.testing.assert_array_equal(states[0], [*market.features[3], 0, 0, 1])
    np.testing.assert_array_equal(states[1], [*market.features[8], 1, 0, 0])
    everything = market.all_states()
    assert everything.shape == (12, 3, market.n_inputs)
    for row in range(12):
        for p in range(3):
            one = market.states(np.array([row]), np.array([p]))[0]
            np.testing.assert_array_equal(everything[row, p], one)


def test_gather_reads_the_tables(market):
    rng = np.random.default_rng(0)
    rows = rng.choice(market.decision_rows, 50)
    p, a = rng.integers(3, size=(2, 50))
    batch = market.gather(rows, p, a)
    np.testing.assert_array_equal(batch.a_tm1, a)
    for i, (row, held, action) in enumerate(zip(rows, p, a, strict=True)):
        np.testing.assert_array_equal(
            batch.s_tm1[i], market.states(rows[i : i + 1], p[i : i + 1])[0]
        )
        assert batch.r_t[i] == market.rewards[row, held, action]
        assert batch.terminated[i] == market.ruined[row, held, action]
        np.testing.assert_array_equal(batch.s_t[i, :3], market.features[row + 1])
        np.testing.assert_array_equal(batch.s_t[i, 3:], np.eye(3)[action])


def test_gather_all_actions_holds_every_gather(market):
    rng = np.random.default_rng(1)
    rows = rng.choice(market.decision_rows, 40)
    p, a = rng.integers(3, size=(2, 40))
    every = market.gather_all_actions(rows, p, a)
    assert every.a_tm1 is None
    assert every.s_t.shape == (40, 3, market.n_inputs)
    for action in range(3):
        one = market.gather(rows, p, np.full(40, action))
        np.testing.assert_array_equal(every.s_tm1, one.s_tm1)
        np.testing.assert_array_equal(every.r_t[:, action], one.r_t)
        np.testing.assert_array_equal(every.s_t[:, action], one.s_t)
        np.testing.assert_array_equal(every.terminated[:, action], one.terminated)
    other = market.gather_all_actions(rows, p, (a + 1) % 3)
    np.testing.assert_array_equal(every.r_t, other.r_t)


def test_last_bar_is_truncated_not_terminated(market):
    """The decision before the last bar bootstraps from the state at the last bar."""
    rows = np.array([5, 10])
    batch = market.gather_all_actions(rows, np.zeros(2, int), np.zeros(2, int))
    assert not batch.terminated.any()
    np.testing.assert_array_equal(batch.s_t[:, 0, :3], market.features[[6, 11]])


def test_ruin_is_terminated():
    bars = asset_of([10, 10, 10, 10], [10, 21, 10, 10])
    market = ExogenousMarket([bars], (-1.0, 0.0, 1.0), FREE)
    np.testing.assert_array_equal(market.ruined.nonzero()[0], [0, 0, 0])  # from any target ...
    np.testing.assert_array_equal(market.ruined.nonzero()[2], [0, 0, 0])  # ... to the short
    batch = market.gather(np.array([0, 0]), np.array([1, 1]), np.array([0, 2]))
    assert batch.terminated.tolist() == [True, False]
    assert market.log_growth[0, 1, 0] == np.log(RUIN_GROWTH)


@repeatable
@given(st.integers(0, 10_000), st.sampled_from(GRIDS), st.floats(1e-3, 0.5))
def test_all_tables_are_finite(seed, grid, volatility):
    market = ExogenousMarket([random_asset(30, seed, volatility=volatility)], grid, DEAR)
    assert np.isfinite(market.log_growth).all()
    assert np.isfinite(market.rewards).all()
    assert market.rewards.dtype == np.float32


def test_default_scale_gives_the_largest_holding_a_unit_reward():
    market = ExogenousMarket([random_asset(2_000, 0)], (0.0, 0.5, 1.0), DEAR)
    held = market.rewards[market.decision_rows, 2, 2]
    assert np.sqrt(np.mean(held.astype(np.float64) ** 2)) == pytest.approx(1.0, rel=1e-5)
    # Half the volatility of the bars, twice the scale.
    calm = ExogenousMarket([random_asset(2_000, 0, volatility=0.01)], (0.0, 0.5, 1.0), DEAR)
    assert calm.reward_scale == pytest.approx(2 * market.reward_scale, rel=0.02)


@pytest.mark.parametrize("daily", [1.0, 1.01, 1.1, 0.97])
def test_default_scale_where_the_price_has_no_noise(daily):
    """A steady trend has a spread of rounding errors, 1e-17: no measure of a reward."""
    price = 100.0 * daily ** np.arange(200)
    bars = asset_of(price, price)
    market = ExogenousMarket([bars], (0.0, 1.0), FREE)
    assert np.abs(market.rewards).max() <= 10.0


def test_default_scale_where_gap_and_session_cancel():
    """Held, the growth is 1 but for rounding; the next fill at the open earns 10%."""
    bars = asset_of(np.full(50, 10.0), np.full(50, 11.0))
    market = ExogenousMarket([bars], (0.0, 1.0), FREE)
    assert np.abs(market.log_growth[:, 1, 1]).max() < 1e-12
    assert np.abs(market.rewards).max() <= 10.0


def test_path_growth_by_hand(market):
    paths = [np.array([1, 2, 2, 0, 1, 2]), np.array([0, 0, 1, 1])]
    expected = [
        sum(
            market.log_growth[t, p, q]
            for t, (p, q) in enumerate([(1, 1), (1, 2), (2, 2), (2, 0), (0, 1), (1, 2)])
        ),
        sum(
            market.log_growth[7 + t, p, q]
            for t, (p, q) in enumerate([(1, 0), (0, 0), (0, 1), (1, 1)])
        ),
    ]
    np.testing.assert_allclose(market.path_log_growth(paths), expected, rtol=1e-14)


def test_path_growth_ends_with_ruin():
    """A ruined account trades no more, as in the backtest: later gains do not count."""
    bars = asset_of([10, 10, 10, 10], [10, 21, 10, 40])
    market = ExogenousMarket([bars], (-1.0, 0.0, 1.0), FREE)
    total = market.path_log_growth([np.array([0, 2, 2])])
    assert total.tolist() == [np.log(RUIN_GROWTH)]


def test_greedy_paths_follow_the_best_value_from_flat(market):
    rng = np.random.default_rng(5)
    table = rng.normal(size=(12, 3, 3)).astype(np.float32)
    paths = market.greedy_paths(lambda states: table.reshape(-1, 3))
    for start, length, path in zip((0, 7), (6, 4), paths, strict=True):
        held, expected = 1, []
        for t in range(length):
            held = int(table[start + t, held].argmax())
            expected.append(held)
        assert path.tolist() == expected


def test_greedy_paths_ask_for_the_true_states(market):
    """A model that wants what it holds (a one-hot state) stays where it started: flat."""
    paths = market.greedy_paths(lambda states: states[:, -3:])
    assert all((path == 1).all() for path in paths)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("row", "where"), [(0, "A.*bar 0"), (6, "A.*bar 6"), (9, "B.*bar 2")])
def test_value_that_is_not_finite_is_no_order(market, bad, row, where):
    def predict(states):
        values = np.zeros((len(states), 3), dtype=np.float32)
        values[row * 3 + 2, 1] = bad
        return values

    with pytest.raises(NonFiniteError, match=where):
        market.greedy_paths(predict)


def test_follow_by_hand():
    choice = np.array([[1, 0], [0, 1], [1, 1]])
    assert follow(choice, 0).tolist() == [1, 1, 1]
    assert follow(choice, 1).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    "grid", [(1.0,), (0.5, 1.0), (1.0, 0.0), (0.0, 0.0, 1.0), (0.0, np.nan), (0.0, np.inf), ()]
)
def test_bad_grids_are_refused(grid):
    with pytest.raises(ConfigError, match="The positions parameter of market must be"):
        check_positions(grid)


class TestAssetBars:
    def test_one_bar_is_too_few(self):
        with pytest.raises(DataError, match="A: needs at least 2 bars"):
            asset_of([1.0], [1.0])

    def test_feature_that_is_not_finite(self):
        with pytest.raises(DataError, match="A: the features of row 1"):
            asset_of([1.0, 1.0], [1.0, 1.0], features=[[0.0], [np.nan]])

    @pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0])
    @pytest.mark.parametrize("column", ["open", "close"])
    def test_price_that_is_no_price(self, column, bad):
        """Let through, a NaN price is read as ruin by every comparison that follows."""
        prices = {"open": [1.0, 1.0, 1.0], "close": [1.0, 1.0, 1.0]}
        prices[column][1] = bad
        with pytest.raises(DataError, match=f"A: the {column} of row 1 .*{bad}"):
            asset_of(prices["open"], prices["close"])

    @pytest.mark.parametrize("times", [[0, 2, 2], [0, 2, 1]])
    def test_time_that_does_not_rise(self, times):
        with pytest.raises(DataError, match=r"A: close times must increase.* row"):
            asset_of([1.0] * 3, [1.0] * 3, times)

    def test_time_that_is_rounded(self):
        with pytest.raises(DataError, match="A: times must be int64 nanoseconds"):
            asset_of([1.0] * 3, [1.0] * 3, [0.0, 1.0, 2.0])

    def test_lengths_that_differ(self):
        with pytest.raises(DataError, match=r"A: .*open 2"):
            AssetBars("A", np.arange(3), np.ones(2), np.ones(3), np.zeros((3, 1)))
        with pytest.raises(DataError, match=r"A: .*features 2"):
            AssetBars("A", np.arange(3), np.ones(3), np.ones(3), np.zeros((2, 1)))

    def test_years_are_of_365_days(self):
        bars = asset_of([1.0] * 3, [1.0] * 3, [0, DAY, 4 * DAY])
        np.testing.assert_allclose(bars.years, [1 / 365, 3 / 365])
