import dataclasses

import numpy as np
import pandas as pd
import pytest
from deployment_cases import frame_of
from policy_cases import plain_network, random_policy, random_weights

from reinforcestrategycreator_pipeline.backtesting.run import combine, run_backtest
from reinforcestrategycreator_pipeline.deployment.brokers.base import OrderError, OrderUpdate
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import (
    PaperMarket,
    SimulatedBroker,
)
from reinforcestrategycreator_pipeline.deployment.paper import PaperResult, paper_trade
from reinforcestrategycreator_pipeline.errors import DataError, FeatureError, RunError
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
    return paper_trade(policy, frame_of(asset), 0, market, make_broker(market))


@pytest.mark.parametrize("costs", [FREE, CostConfig(), DEAR], ids=["free", "usual", "dear"])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_paper_trading_is_the_backtest(grid, costs):
    fills = 0
    for seed in range(3):
        asset, policy = random_asset(650, seed), random_policy(3, grid, seed)
        expected, result = backtest(policy, asset, costs), paper(policy, asset, costs)
        assert result.exposure.tolist() == expected.exposure.tolist()
        fills += len(result.fills)
        assert result.require_equal(expected.equity) <= 1e-9
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
        assert result.require_equal(expected.equity) <= 1e-9
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


def test_the_last_row_is_never_read():
    asset, policy = random_asset(50, seed=2), random_policy(3, (0.0, 1.0), seed=2)
    expected = paper(policy, asset, DEAR)
    asset.features[-1] = np.nan
    assert paper(policy, asset, DEAR).equity.tolist() == expected.equity.tolist()


def test_stamps_of_less_than_a_second_are_kept():
    asset, policy = random_asset(50, seed=2), random_policy(3, (0.0, 1.0), seed=2)
    frame = frame_of(asset)
    for early in (1, 7, 333):
        shifted = frame.set_axis(frame.index - pd.Timedelta(early, "ms"))
        result = paper_trade(policy, shifted, 0, PaperMarket("A", START, DEAR))
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
    with pytest.raises(RunError, match=r"A: paper trading and backtest differ from bar 2 \(20"):
        paper(policy, asset, DEAR, broken).require_equal(expected.equity)


def test_a_rejected_order_ends_paper_trading():
    class Rejecting(SimulatedBroker):
        def submit(self, order):
            self.order = order

        def poll(self):
            return [OrderUpdate(self.order.client_id, "rejected", reason="no margin")]

    asset, policy = random_asset(50, seed=3), random_policy(3, (-1.0, 0.0, 1.0), seed=3)
    with pytest.raises(OrderError, match="A: the broker rejected an order: no margin"):
        paper(policy, asset, DEAR, Rejecting)


def result_of(equity, features=None):
    n = len(equity)
    times = pd.date_range("2020-01-01", periods=n, tz="UTC")
    features = np.zeros((n - 1, 1)) if features is None else np.array(features)
    return PaperResult("A", times, np.array(equity), np.zeros(n - 1), features, (), 0.0, False)


def test_the_gap_is_the_largest_relative_difference():
    result = result_of([100.0, 200.0, 50.0])
    assert result.gap_to(np.array([100.0, 160.0, 50.0])) == pytest.approx(0.25)
    with pytest.raises(RunError) as caught:
        result.require_equal(np.array([100.0, 160.0, 50.0]))
    assert str(caught.value) == (
        "A: paper trading and backtest differ from bar 1 (2020-01-02 00:00:00+00:00) on: "
        "equity 200.0 on paper, 160.0 in the backtest (relative tolerance 1e-09)"
    )
    with pytest.raises(RunError, match="differ from bar 2"):
        result.require_equal(np.array([100.0, 200.0, np.nan]))
    with pytest.raises(RunError, match="3 closes, the other equity curve has the shape"):
        result.gap_to(np.ones(4))


def test_the_feature_that_parts_first_is_named():
    result = result_of([100.0, 200.0, 50.0], [[1.0, 2.0], [3.0, np.nan]])
    other = np.array([100.0, 200.0, 60.0])
    table = pd.DataFrame({"a": [1.0, 3.5, 0.0], "b": [2.0, 9.0, 0.0]})
    with pytest.raises(
        RunError, match=r"'a' differs from bar 1 \(2020-01-02 .*3\.0 bar by bar, 3\.5"
    ):
        result.require_equal(other, table)
    with pytest.raises(RunError, match="1e-09\\); the features before it are equal"):
        result.require_equal(other, pd.DataFrame({"a": [1.0, 3.0], "b": [2.0, 9.0]}))


def test_no_order_from_a_nan():
    asset, policy = random_asset(50, seed=2), random_policy(3, (0.0, 1.0), seed=2)
    asset.features[20, 1] = np.nan
    market = PaperMarket("A", START, DEAR)
    broker = SimulatedBroker(market)
    with pytest.raises(FeatureError, match="A: feature 'column': column 'f1' must be finite"):
        paper_trade(policy, frame_of(asset), 0, market, broker)
    assert broker.poll() == []


@pytest.mark.parametrize(
    ("column", "bad", "message"),
    [("open", np.nan, "open must be finite"), ("close", 0.0, "the close of a bar must be")],
)
def test_bars_that_break_a_rule_are_refused(column, bad, message):
    frame = frame_of(random_asset(10))
    frame.iloc[4, frame.columns.get_loc(column)] = bad
    with pytest.raises(DataError, match=message.replace("open must", "(the )?open .*must")):
        paper_trade(random_policy(3, (0.0, 1.0)), frame, 0, PaperMarket("A", START, DEAR))


def test_bars_that_go_back_in_time_are_refused():
    frame = frame_of(random_asset(10))
    frame = frame.set_axis(frame.index[::-1])
    with pytest.raises(DataError, match="the years between two closes"):
        paper_trade(random_policy(3, (0.0, 1.0)), frame, 0, PaperMarket("A", START, DEAR))


@pytest.mark.parametrize(("bars", "start"), [(1, 0), (10, -1), (10, 9), (10, 10)])
def test_the_first_decision_needs_a_next_bar(bars, start):
    frame, policy = frame_of(random_asset(10)).iloc[:bars], random_policy(3, (0.0, 1.0))
    with pytest.raises(DataError, match=f"at a row from 0 to {bars - 2}. Got {start} instead"):
        paper_trade(policy, frame, start, PaperMarket("A", START, DEAR))
