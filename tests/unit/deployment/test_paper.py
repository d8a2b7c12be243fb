import dataclasses

import numpy as np
import pandas as pd
import pytest
from deployment_cases import frame_of, on_paper, trader_of
from policy_cases import plain_network, random_policy, random_weights, sure_policy

from reinforcestrategycreator_pipeline.backtesting.run import combine, run_backtest
from reinforcestrategycreator_pipeline.deployment.brokers.base import OrderError, OrderUpdate
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import (
    PaperMarket,
    SimulatedBroker,
)
from reinforcestrategycreator_pipeline.deployment.live_bars import LiveBar
from reinforcestrategycreator_pipeline.deployment.replay import PaperResult, paper_trade
from reinforcestrategycreator_pipeline.deployment.streaming import recorded
from reinforcestrategycreator_pipeline.errors import DataError, RunError
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DEAR,
    FREE,
    GRIDS,
    asset_of,
    random_asset,
)

START = 100_000.0


def backtest(policy, asset, costs):
    """Decide all bars at once and account by the kernel: what evaluation does."""
    return run_backtest("DQN", asset, policy.targets(asset), costs, START)


def paper(policy, asset, costs, make_broker=SimulatedBroker):
    market = PaperMarket(asset.symbol, START, costs)
    return on_paper(policy, frame_of(asset), 0, market, make_broker)


def sure_backtest(policy, asset, costs):
    said = policy.confidence_of_targets(asset)
    return run_backtest("it", asset, policy.targets(asset), costs, START, confidence=said)


def equal(result, expected, asset):
    """Compare paper trading with a backtest; return the largest gaps."""
    table = pd.DataFrame(asset.features, columns=[f"f{i}" for i in range(3)])
    return result.require_equal(expected.equity, expected.exposure, table)


@pytest.mark.parametrize("costs", [FREE, CostConfig(), DEAR], ids=["free", "usual", "dear"])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_paper_trading_is_the_backtest(grid, costs):
    fills = 0
    for seed in range(3):
        asset, policy = random_asset(650, seed), random_policy(3, grid, seed)
        expected, result = backtest(policy, asset, costs), paper(policy, asset, costs)
        assert result.exposure.tolist() == expected.exposure.tolist()
        fills += len(result.fills)
        assert max(equal(result, expected, asset)) <= 1e-9
        opens = dict(zip(result.times.asi8.tolist(), asset.open.tolist(), strict=True))
        spent = sum(f.commission + f.quantity * (f.price - opens[f.time]) for f in result.fills)
        spent += result.fees_paid
        assert spent == pytest.approx(expected.costs.sum(), rel=1e-9, abs=1e-6)
        assert not result.ruined
    assert fills > 300


def test_several_assets_add_up_to_the_portfolio():
    policy = random_policy(3, (-1.0, 0.0, 1.0), seed=4)
    assets = [random_asset(300, seed, symbol) for seed, symbol in enumerate("ABCD")]
    portfolio = combine([backtest(policy, asset, DEAR) for asset in assets])
    total = sum(paper(policy, asset, DEAR).equity for asset in assets)
    np.testing.assert_allclose(total, portfolio.equity, rtol=1e-9)


def test_a_ruined_account_stays_where_it_is():
    grid, ruined = (-3.0, 0.0, 3.0), 0
    for seed in range(20):
        asset, policy = random_asset(120, seed, volatility=0.15), random_policy(3, grid, seed)
        expected, result = backtest(policy, asset, DEAR), paper(policy, asset, DEAR)
        assert max(equal(result, expected, asset)) <= 1e-9
        assert result.exposure.tolist() == expected.exposure.tolist()
        ruined += result.ruined
        if result.ruined:
            assert result.equity[-1] == result.equity[-2]
            assert result.fills[-1].time <= result.times.asi8[-1]
            assert np.isnan(result.features[-1]).all()
    assert ruined >= 10


def test_times_and_prices_of_the_fills():
    # Weights that always choose index 1, long: one purchase at the second bar's open.
    asset = asset_of(
        [10.0, 11.0, 12.0], [10.0, 10.0, 10.0], times=np.array([100, 200, 300]) * 10**9
    )
    weights = {name: 0 * array for name, array in random_weights((3, 4, 2)).items()}
    weights["b1"][1] = 1
    policy = dataclasses.replace(random_policy(1, (0.0, 1.0)), network=plain_network(weights))
    result = paper(policy, asset, FREE)
    (fill,) = result.fills
    assert (fill.time, fill.price, fill.commission) == (200 * 10**9, 11.0, 0.0)
    assert fill.quantity == pytest.approx(START / 11.0)
    assert result.equity.tolist() == pytest.approx([START, START / 1.1, START / 1.1])
    assert result.times.asi8.tolist() == [100 * 10**9, 200 * 10**9, 300 * 10**9]
    assert result.exposure.tolist() == [1.0, 1.0]


def test_nothing_of_the_future_reaches_a_decision_or_a_fill():
    asset, policy = random_asset(200, seed=1), random_policy(3, GRIDS[3], seed=1)
    whole = paper(policy, asset, DEAR)
    for cut in (2, 50, 120):
        rng = np.random.default_rng(cut)
        changed = dataclasses.replace(
            asset,
            open=np.concatenate([asset.open[:cut], asset.open[cut:] * rng.uniform(0.9, 1.1)]),
            close=np.concatenate([asset.close[:cut], asset.close[cut:][::-1]]),
            features=np.concatenate([asset.features[:cut], asset.features[cut:][::-1]]),
        )
        result = paper(policy, changed, DEAR)
        assert result.equity[:cut].tobytes() == whole.equity[:cut].tobytes()
        assert result.exposure[:cut].tobytes() == whole.exposure[:cut].tobytes()
        before = [f for f in whole.fills if f.time < whole.times.asi8[cut]]
        assert list(result.fills[: len(before)]) == before
        assert not np.array_equal(result.equity, whole.equity)


def test_the_last_row_changes_nothing():
    asset, policy = random_asset(50, seed=2), random_policy(3, (0.0, 1.0), seed=2)
    expected = paper(policy, asset, DEAR)
    asset.features[-1] = 1e6
    assert paper(policy, asset, DEAR).equity.tolist() == expected.equity.tolist()


def test_stamps_of_less_than_a_second_are_kept():
    asset, policy = random_asset(50, seed=2), random_policy(3, (0.0, 1.0), seed=2)
    frame = frame_of(asset)
    for early in (1, 7, 333):
        shifted = frame.set_axis(frame.index - pd.Timedelta(early, "ms"))
        result = on_paper(policy, shifted, 0, PaperMarket("A", START, DEAR))
        assert result.times.equals(shifted.index)
        assert {fill.time for fill in result.fills} <= set(shifted.index.asi8.tolist())


class LateBroker(SimulatedBroker):
    """Planted: sends an order when the next one comes."""

    waiting = None

    def submit(self, order):
        late, self.waiting = self.waiting, order
        if late is not None:
            super().submit(late)


class GenerousBroker(SimulatedBroker):
    """Planted: gives back a millionth of each commission."""

    def poll(self):
        updates = super().poll()
        self._market.ledger.cash += sum(1e-6 * u.fill.commission for u in updates)
        return updates


@pytest.mark.parametrize("broken", [LateBroker, GenerousBroker])
def test_a_broker_that_differs_from_the_backtest_is_caught(broken):
    asset, policy = random_asset(200, seed=3), random_policy(3, (-1.0, 0.0, 1.0), seed=3)
    expected = backtest(policy, asset, DEAR)
    with pytest.raises(RunError, match=r"A: paper .* differ from bar 2 \(20.* on: equity is"):
        equal(paper(policy, asset, DEAR, broken), expected, asset)


def test_a_rejected_order_ends_paper_trading():
    class Rejecting(SimulatedBroker):
        order = None

        def submit(self, order):
            self.order = order

        def poll(self):
            given, self.order = self.order, None
            return [OrderUpdate(given.client_id, "rejected", reason="no margin")] if given else []

    asset, policy = random_asset(50, seed=3), random_policy(3, (-1.0, 0.0, 1.0), seed=3)
    with pytest.raises(OrderError, match="A: the broker rejected an order: no margin"):
        paper(policy, asset, DEAR, Rejecting)


def result_of(equity, features=None):
    n = len(equity)
    times = pd.date_range("2020-01-01", periods=n, tz="UTC")
    features = np.zeros((n - 1, 1)) if features is None else np.array(features)
    return PaperResult("A", times, np.array(equity), np.zeros(n - 1), features, (), 0.0, False)


def test_the_gaps_are_the_largest_relative_differences():
    result = result_of([100.0, 200.0, 50.0], [[1.0], [3.0]])
    equity = np.array([100.0, 200.0 * (1 + 4e-10), 50.0])
    # The median of 1 and 3 is 2, and both deviate by 1.
    table = pd.DataFrame({"a": [1.0, 3.0 + 2e-7, np.nan]})
    gaps = result.require_equal(equity, np.zeros(2), table)
    assert gaps == pytest.approx((4e-10, 2e-7), rel=1e-5)
    with pytest.raises(RunError, match=r"from bar 1 .* the feature 'a' is 3\.0 bar by bar"):
        result.require_equal(equity, np.zeros(2), pd.DataFrame({"a": [1.0, 3.0 + 2e-6]}))
    with pytest.raises(RunError, match=r"the target is 0\.0 on .* differs by 2e-07 of its devi"):
        result.require_equal(equity, np.ones(2) * [0, 1], table)
    # At a high level, a move far below the level is a difference all the same.
    high = result_of([100.0, 200.0, 50.0], [[60_000.0], [60_002.0]])
    with pytest.raises(RunError, match="the feature 'a' is 60002"):
        high.require_equal(equity, np.zeros(2), pd.DataFrame({"a": [60_000.0, 60_002.001]}))
    flat = result_of([100.0, 200.0, 50.0], [[5.0], [5.0]])
    assert flat.require_equal(equity, np.zeros(2), pd.DataFrame({"a": [5.0, 5.0]}))[1] == 0.0
    with pytest.raises(RunError, match="the feature 'a' is 5"):
        flat.require_equal(equity, np.zeros(2), pd.DataFrame({"a": [5.0 + 1e-9, 5.0]}))
    with pytest.raises(
        RunError, match=r"3 closes and 1 features, the .*\(\(4,\), \(2,\), \(2, 1\)"
    ):
        result.require_equal(np.ones(4), np.zeros(2), table)


@pytest.mark.parametrize(
    ("equity", "exposure", "features", "found"),
    [
        ([99.0, 200.0, 50.0], [0, 0], [[9, 2], [3, 4]], "bar 0 (2020-01-01 00:00:00+00:00) on: "
         "equity is 100.0 on paper, 99.0 in the backtest (relative tolerance 1e-09)"),
        ([100.0, 160.0, 50.0], [0, 0], [[1, 2], [3, 4]], "bar 1 (2020-01-02 00:00:00+00:00) on: "
         "equity is 200.0 on paper, 160.0 in the backtest (relative tolerance 1e-09)"),
        ([100.0, 200.0, np.nan], [0, 0], [[1, 2], [3, 4]], "bar 2 (2020-01-03 00:00:00+00:00) on: "
         "equity is 50.0 on paper, nan in the backtest (relative tolerance 1e-09)"),
        ([100.0, 160.0, 50.0], [0, 1], [[1, 2], [3, 4]], "bar 1 (2020-01-02 00:00:00+00:00) on: "
         "equity is 200.0 on paper, 160.0 in the backtest (relative tolerance 1e-09)"),
        ([100.0, 200.0, 60.0], [0, 1], [[1, 2], [3, 4]], "bar 1 (2020-01-02 00:00:00+00:00) on: "
         "the target is 0.0 on paper, 1.0 in the backtest"),
        ([100.0, 160.0, 50.0], [1, 1], [[1, 2.5], [3, 4]], "bar 0 (2020-01-01 00:00:00+00:00) on: "
         "the feature 'b' is 2.0 bar by bar, 2.5 in the table. Does it use later bars, or bars "
         "before its declared lookback?"),
        ([100.0, 200.0, 50.0], [0, 0], [[1, 2], [3, np.nan]], "bar 1 (2020-01-02 00:00:00+00:00) "
         "on: the feature 'b' is 4.0 bar by bar, nan in the table. Does it use later bars, or "
         "bars before its declared lookback?"),
    ],
    ids=["start", "equity", "nan", "equity first", "target", "feature first", "no feature"],
)  # fmt: skip
def test_the_first_difference_is_named(equity, exposure, features, found):
    result = result_of([100.0, 200.0, 50.0], [[1.0, 2.0], [3.0, 4.0]])
    table = pd.DataFrame(np.array(features, dtype=float), columns=["a", "b"])
    with pytest.raises(RunError) as caught:
        result.require_equal(np.array(equity), np.array(exposure, dtype=float), table)
    assert str(caught.value) == f"A: paper trading and backtest differ from {found}"


def test_a_feature_that_differs_without_an_effect_is_found():
    asset, policy = random_asset(80, seed=3), random_policy(3, (-1.0, 0.0, 1.0), seed=3)
    expected, result = backtest(policy, asset, DEAR), paper(policy, asset, DEAR)
    table = pd.DataFrame(asset.features, columns=["f0", "f1", "f2"])
    table.iloc[33, 1] += 2e-6  # too little to change a decision
    with pytest.raises(RunError, match=r"from bar 33 \(.*the feature 'f1' is"):
        result.require_equal(expected.equity, expected.exposure, table)


def test_no_order_from_a_nan():
    asset, policy = random_asset(50, seed=2), random_policy(3, (0.0, 1.0), seed=2)
    frame = frame_of(asset)
    trader = trader_of(policy, frame, PaperMarket("A", START, DEAR))
    for bar in recorded(frame.iloc[:20], "A"):
        trader.push(bar, confirmed=True)
    bad = LiveBar("A", frame.index[20], {**frame.iloc[20], "f1": np.nan})
    with pytest.raises(DataError, match=r"A, bar of .*: f1 must be a number, finite\. Got nan"):
        trader.push(bad, confirmed=True)
    assert trader.broker.poll() == []


def test_bars_that_go_back_in_time_are_refused():
    frame = frame_of(random_asset(10))
    trader = trader_of(random_policy(3, (0.0, 1.0)), frame, PaperMarket("A", START, DEAR))
    with pytest.raises(DataError, match=r"late or out of order; the last bar was of 2001"):
        paper_trade(trader, frame.iloc[::-1], 0)


@pytest.mark.parametrize(("bars", "start"), [(1, 0), (10, -1), (10, 9), (10, 10)])
def test_the_first_decision_needs_a_next_bar(bars, start):
    frame = frame_of(random_asset(10))
    trader = trader_of(random_policy(3, (0.0, 1.0)), frame, PaperMarket("A", START, DEAR))
    with pytest.raises(DataError, match=f"at a row from 0 to {bars - 2}. Got {start} instead"):
        paper_trade(trader, frame.iloc[:bars], start)


class TestConfidence:
    @pytest.mark.parametrize(("grid", "volatility"), [((0.0, 1.0), 0.02), ((-1.0, 0.0, 4.0), 0.2)])
    def test_on_paper_it_is_as_sure_as_in_the_backtest(self, grid, volatility):
        ruined = 0
        for seed in range(6):
            asset, policy = random_asset(120, seed, volatility=volatility), sure_policy(grid)
            expected, result = sure_backtest(policy, asset, DEAR), paper(policy, asset, DEAR)
            for name, values in result.confidence._asdict().items():
                np.testing.assert_array_equal(values, getattr(expected, name))
            ruined += result.ruined
        assert (ruined > 0) == (max(grid) > 1)

    def test_every_move_is_in_the_summary_by_hand(self):
        asset = asset_of([10.0] * 5, [10.0] * 5, times=np.arange(5) * 3_600 * 10**9)
        rows = [[3.0, 2.0], [5.0, 1.0], [-7.0, 4.0], [-1.0, 6.0], [9.0, 9.0]]
        asset = dataclasses.replace(asset, features=np.array(rows))
        result = paper(sure_policy(names=("f0", "f1")), asset, FREE)
        assert result.exposure.tolist() == [1, 1, 0, 0]
        assert result.confidence.advantage_bps.tolist() == [3, 0, 7, 0]
        assert result.confidence.spread_bps.tolist() == [2, 0, 4, 0]
        assert result.summary()["moves"] == [
            {
                "decided": "1970-01-01T00:00:00+00:00",
                "target": 1.0,
                "advantage_bps": 3.0,
                "spread_bps": 2.0,
            },
            {
                "decided": "1970-01-01T02:00:00+00:00",
                "target": 0.0,
                "advantage_bps": 7.0,
                "spread_bps": 4.0,
            },
        ]

    def test_each_bar_says_it_and_a_silent_policy_nothing(self):
        asset = random_asset(30, 1)
        for policy in (sure_policy(), random_policy(3, (0.0, 1.0))):
            frame = frame_of(asset)
            trader = trader_of(policy, frame, PaperMarket("A", START, DEAR))
            (bar,) = recorded(frame.iloc[:1], "A", trader.stream.rules.columns)
            said = trader.push(bar, confirmed=True, now=bar.time).confidence
            assert said == policy.confidence_of(asset.features[0], policy.flat)
        assert said is None
        result = paper(policy, asset, DEAR)
        assert result.confidence is None
        assert "moves" not in result.summary()
