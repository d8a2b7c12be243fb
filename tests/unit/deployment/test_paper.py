import dataclasses

import numpy as np
import pytest
from deployment_cases import plain_network, random_policy, random_weights

from reinforcestrategycreator_pipeline.backtest.run import combine, run_backtest
from reinforcestrategycreator_pipeline.deployment.broker import SimulatedBroker
from reinforcestrategycreator_pipeline.deployment.paper import PaperResult, paper_trade
from reinforcestrategycreator_pipeline.envs.grid import follow
from reinforcestrategycreator_pipeline.errors import DataError, NonFiniteError, RunError
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
    path = follow(policy.decision_table(asset.features)[:-1], policy.flat)
    return run_backtest("DQN", asset, np.array(policy.positions)[path], costs, START)


def paper(policy, asset, costs, broker=SimulatedBroker):
    return paper_trade(
        policy,
        symbol=asset.symbol,
        seconds=asset.seconds,
        open_=asset.open,
        close=asset.close,
        features=asset.features,
        broker=broker(START, costs),
    )


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
        spent = sum(f.cost for f in result.fills) + result.fees_paid
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
            assert result.fills[-1].time <= asset.seconds[-1]
    assert ruined >= 10


def test_times_and_prices_of_the_fills():
    # Weights that always choose index 1, long: one purchase at the second bar's open.
    asset = asset_of([10.0, 11.0, 12.0], [10.0, 10.0, 10.0], seconds=[100.0, 200.0, 300.0])
    weights = {name: 0 * array for name, array in random_weights((3, 4, 2)).items()}
    weights["b1"][1] = 1
    policy = dataclasses.replace(random_policy(1, (0.0, 1.0)), network=plain_network(weights))
    result = paper(policy, asset, FREE)
    (fill,) = result.fills
    assert (fill.time, fill.side, fill.price, fill.open) == (200.0, "buy", 11.0, 11.0)
    assert result.equity.tolist() == pytest.approx([START, START / 1.1, START / 1.1])
    assert result.seconds.tolist() == [100.0, 200.0, 300.0]
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
        before = [f for f in whole.fills if f.time < asset.seconds[cut]]
        assert list(result.fills[: len(before)]) == before
        assert not np.array_equal(result.equity, whole.equity)


def test_the_last_row_is_never_read():
    asset, policy = random_asset(50, seed=2), random_policy(3, (0.0, 1.0), seed=2)
    features = asset.features.copy()
    features[-1] = np.nan
    result = paper_trade(
        policy,
        symbol="A",
        seconds=asset.seconds,
        open_=asset.open,
        close=asset.close,
        features=features,
        broker=SimulatedBroker(START, DEAR),
    )
    assert result.equity.tolist() == paper(policy, asset, DEAR).equity.tolist()


class LateBroker(SimulatedBroker):
    """Planted: fills a bar late."""

    waiting = None

    def submit_target(self, exposure):
        late, self.waiting = self.waiting, exposure
        if late is not None:
            super().submit_target(late)


class GenerousBroker(SimulatedBroker):
    """Planted: gives back a millionth of each commission."""

    def _fill(self, target, time):
        fill = super()._fill(target, time)
        self.cash += 1e-6 * fill.commission if fill else 0.0
        return fill


@pytest.mark.parametrize("broken", [LateBroker, GenerousBroker])
def test_a_broker_that_differs_from_the_backtest_is_caught(broken):
    asset, policy = random_asset(200, seed=3), random_policy(3, (-1.0, 0.0, 1.0), seed=3)
    expected = backtest(policy, asset, DEAR)
    with pytest.raises(RunError, match=r"A: paper trading and backtest part at bar \d+: equity "):
        paper(policy, asset, DEAR, broken).require_equal(expected.equity)


def result_of(equity):
    n = len(equity)
    return PaperResult("A", np.arange(n), np.array(equity), np.zeros(n - 1), (), 0.0, False)


def test_the_gap_is_the_largest_relative_difference():
    result = result_of([100.0, 200.0, 50.0])
    assert result.gap_to(np.array([100.0, 160.0, 50.0])) == pytest.approx(0.25)
    with pytest.raises(RunError, match=r"part at bar 1: equity .*200\.0.* against .*160"):
        result.require_equal(np.array([100.0, 160.0, 50.0]))
    with pytest.raises(RunError, match="part at bar 2"):
        result.require_equal(np.array([100.0, 200.0, np.nan]))
    with pytest.raises(RunError, match="3 closes, the other equity curve has the shape"):
        result.gap_to(np.ones(4))


def test_no_order_from_a_nan():
    asset, policy = random_asset(50, seed=2), random_policy(3, (0.0, 1.0), seed=2)
    asset.features[20, 1] = np.nan
    broker = SimulatedBroker(START, DEAR)
    with pytest.raises(NonFiniteError, match="'f1' of row 0 is nan; no order"):
        paper(policy, asset, DEAR, lambda *_: broker)
    assert broker.pending_target is None
    assert all(f.time <= asset.seconds[20] for f in broker.fills)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": np.zeros((9, 3))}, r"Got the shape \(9, 3\) instead"),
        ({"features": np.zeros((10, 2))}, r"10 bars and 3 features"),
        ({"open_": np.ones(9)}, "Got 10, 9 and 10 of them"),
        ({"seconds": np.arange(11.0)}, "Got 11, 10 and 10 of them"),
        ({"open_": np.where(np.arange(10) == 4, np.nan, 10.0)}, "the open of a bar must be"),
        ({"close": np.where(np.arange(10) == 4, 0.0, 10.0)}, "the close of a bar must be"),
        ({"seconds": -np.arange(10.0)}, "the years between two closes"),
    ],
)
def test_bars_that_do_not_fit_are_refused(changes, message):
    bars = {
        "symbol": "A",
        "seconds": np.arange(10.0),
        "open_": np.ones(10),
        "close": np.ones(10),
        "features": np.zeros((10, 3)),
    }
    with pytest.raises(DataError, match=message):
        paper_trade(
            random_policy(3, (0.0, 1.0)), **{**bars, **changes}, broker=SimulatedBroker(START, DEAR)
        )


def test_one_bar_is_too_few():
    with pytest.raises(DataError, match="at least 2 bars"):
        paper_trade(
            random_policy(3, (0.0, 1.0)),
            symbol="A",
            seconds=np.zeros(1),
            open_=np.ones(1),
            close=np.ones(1),
            features=np.zeros((1, 3)),
            broker=SimulatedBroker(START, DEAR),
        )
