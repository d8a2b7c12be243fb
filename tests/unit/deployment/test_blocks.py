"""Bars that are traded in blocks end where they do bar by bar, to the bit, faults included."""

import dataclasses
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from deployment_cases import frame_of, trader_of
from policy_cases import random_policy, sure_policy

from reinforcestrategycreator_pipeline import feature
from reinforcestrategycreator_pipeline.backtesting.rebalancing import trade_together
from reinforcestrategycreator_pipeline.backtesting.run import run_backtest
from reinforcestrategycreator_pipeline.deployment import replay
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import (
    PaperMarket,
    SimulatedBroker,
)
from reinforcestrategycreator_pipeline.deployment.live_bars import LiveBarError
from reinforcestrategycreator_pipeline.deployment.portfolio import paper_trade_together
from reinforcestrategycreator_pipeline.deployment.replay import paper_trade
from reinforcestrategycreator_pipeline.deployment.sampling import Replayed, bars_to_push
from reinforcestrategycreator_pipeline.deployment.streaming import RecordedBars, recorded
from reinforcestrategycreator_pipeline.envs.grid import follow
from reinforcestrategycreator_pipeline.errors import FeatureError, RunError
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.execution.schedule import rebalancing_bars
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.catalog import DEFAULT_FEATURES
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.scaling import ScalerConfig
from reinforcestrategycreator_pipeline.features.table import compute_features
from reinforcestrategycreator_pipeline.policies.baselines import CrossoverPolicy
from reinforcestrategycreator_pipeline.policies.q_policy import QPolicy
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DEAR,
    FREE,
    GRIDS,
    asset_of,
    random_asset,
)

HERE = __name__
START = 100_000.0
BLOCKS = "blocks alone", "bar by bar alone"


@pytest.fixture(autouse=True, params=[7, 100, replay.BLOCK])
def block(request, monkeypatch):
    """Vary the length of a block."""
    monkeypatch.setattr(replay, "BLOCK", request.param)
    return request.param


def mixed(n, seed=0, share=0.5):
    """Return stretches of bars to push, of random lengths."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.random(n) < share, rng.integers(1, 40, n))[:n]


def same(one, other):
    """Require two results with the same bits."""
    for name in ("equity", "exposure", "features"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name
    assert one.fills == other.fills
    assert (one.fees_paid, one.ruined) == (other.fees_paid, other.ruined)
    assert (one.confidence is None) == (other.confidence is None)
    if one.confidence is not None:
        for a, b in zip(one.confidence, other.confidence, strict=True):
            assert a.tobytes() == b.tobytes()


def same_state(one, other):
    """Require two traders that would go on alike."""
    (tensors, header), (others, theirs) = one.to_parts(), other.to_parts()
    assert header == theirs
    assert tensors["bars"].tobytes() == others["bars"].tobytes()


def both(policy, frame, start, singly, costs=DEAR, make=SimulatedBroker):
    """Trade the bars in a mix of both ways, and one by one; return the results."""
    traders = [trader_of(policy, frame, PaperMarket("A", START, costs), make) for _ in range(2)]
    found = (
        paper_trade(traders[0], frame, start, singly=singly),
        paper_trade(traders[1], frame, start),
    )
    same_state(*traders)
    return found


@pytest.mark.parametrize("costs", [FREE, CostConfig(), DEAR], ids=["free", "usual", "dear"])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_a_mix_has_the_bits_of_bar_by_bar(grid, costs):
    asset, policy = random_asset(300, 1), random_policy(3, grid, 1)
    for seed, share in ((0, 0.0), (1, 0.3), (2, 0.9)):
        singly = mixed(300, seed, share)
        result, whole = both(policy, frame_of(asset), 0, singly, costs)
        same(result, whole)
        assert result.in_blocks == int((~singly).sum())
        assert whole.in_blocks == 0
    assert result.summary()["bars_in_blocks"] + result.summary()["bars_one_by_one"] == 300


def test_ruin_in_a_block_or_before_it_ends_all_decisions():
    grid, ruined = (-3.0, 0.0, 3.0), 0
    for seed in range(12):
        asset, policy = random_asset(120, seed, volatility=0.15), random_policy(3, grid, seed)
        for share in (0.0, 0.5):
            result, whole = both(policy, frame_of(asset), 0, mixed(120, seed, share))
            same(result, whole)
            ruined += result.ruined
    assert ruined >= 10


@pytest.mark.parametrize(("grid", "volatility"), [((0.0, 1.0), 0.02), ((-1.0, 0.0, 4.0), 0.2)])
def test_how_sure_the_policy_was_is_the_same(grid, volatility):
    for seed in range(3):
        asset = random_asset(120, seed, volatility=volatility)
        result, whole = both(sure_policy(grid), frame_of(asset), 0, mixed(120, seed, 0.4))
        same(result, whole)
        assert result.summary()["moves"] == whole.summary()["moves"]


def policy_for(frame, specs, start, policy=None):
    """Return a policy over the specs' features, and their table."""
    table = compute_features(frame, specs)
    inputs = Inputs(table.names, table.lookback, tuple(spec.to_mapping() for spec in specs))
    if policy is None:
        policy = random_policy(len(table.names), (-1.0, 0.0, 1.0), 3, names=table.names)
        scaler = ScalerConfig().fit(table.values[table.lookback : start])
        policy = dataclasses.replace(policy, scaler=scaler)
    return dataclasses.replace(policy, inputs=inputs), table


@pytest.mark.parametrize("start", [260, 400])
def test_features_over_their_lookback_have_the_bits_of_bar_by_bar(start):
    frame = make_bars(700)
    policy, table = policy_for(frame, DEFAULT_FEATURES, start)
    for seed, share in ((0, 0.0), (1, 0.5)):
        result, whole = both(policy, frame, start, mixed(700 - start, seed, share))
        same(result, whole)
    assert result.features.tobytes() == table.values[start:-1].tobytes()
    assert len(np.unique(result.exposure)) > 1


def test_a_policy_that_reads_older_bars_decides_the_same():
    frame = make_bars(300)
    crossover = CrossoverPolicy((0.0, 1.0), Inputs(()), 5, 20)
    policy, _ = policy_for(frame, [FeatureSpec("returns", {"horizons": (1,)})], 40, crossover)
    for start in (2, 40):  # before there are 20 bars, and after
        result, whole = both(policy, frame, start, mixed(300 - start, 5))
        same(result, whole)
        assert len(result.fills) > 5


def test_a_feature_without_a_lookback_receives_all_bars():
    frame = make_bars(200)
    specs = [FeatureSpec(f"{HERE}:age")]
    policy, _ = policy_for(frame, specs, 50)
    same(*both(policy, frame, 50, mixed(150, 1)))


@pytest.mark.parametrize("rule", [1, 7, "weekly"])
def test_a_portfolio_in_a_mix_has_the_bits_of_bar_by_bar(rule):
    policy = random_policy(3, (-1.0, 0.0, 1.0), seed=4)
    assets = [random_asset(120, i, s) for i, s in enumerate("ABC")]
    frames = {a.symbol: frame_of(a) for a in assets}
    stamps = rebalancing_bars({a.symbol: a.times for a in assets}, rule)
    found = []
    for singly in (None, {s: mixed(120, i) for i, s in enumerate("ABC")}):
        traders = {
            s: trader_of(policy, frame, PaperMarket(s, START, DEAR)) for s, frame in frames.items()
        }
        starts, due = dict.fromkeys(frames, 0), set(stamps.tolist())
        found.append(paper_trade_together(traders, frames, starts, due, singly))
    assert found[0].equity.tobytes() == found[1].equity.tobytes()
    assert found[0].times.equals(found[1].times)
    assert found[0].transfers == found[1].transfers > 0
    expected = trade_together(
        "it", assets, [policy.targets(a) for a in assets], DEAR, START, stamps
    )
    assert found[1].require_equal(expected.timestamps, expected.equity) <= 1e-9


def test_a_warm_up_in_one_go_leaves_what_bars_one_by_one_leave():
    frame = make_bars(700)
    for specs in (DEFAULT_FEATURES, [FeatureSpec(f"{HERE}:age")]):
        policy, _ = policy_for(frame, specs, 400)
        at_once, singly = (trader_of(policy, frame, PaperMarket("A", 1.0, FREE)) for _ in range(2))
        for part in (frame[:3], frame[3:650], frame[650:650], frame[650:]):
            at_once.warm_up(part)
            for bar in recorded(part, "A"):
                singly.stream.push(bar, confirmed=True, now=bar.time)
            same_state(at_once, singly)


def test_a_wrong_bar_is_named_and_nothing_has_changed_before_it():
    frame = frame_of(random_asset(60))
    frame.iloc[41, frame.columns.get_loc("high")] = 1e-3
    wrong = re.escape(f"A, bar of {frame.index[41]}: high must be >= open")
    trader = trader_of(random_policy(3, (0.0, 1.0)), frame, PaperMarket("A", START, DEAR))
    with pytest.raises(LiveBarError, match=wrong):
        paper_trade(trader, frame, 0, singly=np.zeros(60, bool))
    trader = trader_of(random_policy(3, (0.0, 1.0)), frame, PaperMarket("A", START, DEAR))
    with pytest.raises(LiveBarError, match=wrong):
        trader.warm_up(frame)
    assert trader.stream.count == 0


def test_in_the_middle_of_a_block_a_trader_does_nothing_else():
    frame = frame_of(random_asset(20))
    trader = trader_of(random_policy(3, (0.0, 1.0)), frame, PaperMarket("A", START, DEAR))
    bars = RecordedBars.of(frame, trader.stream.rules.columns)
    decided = trader.begin(bars.part(0, 10))
    trader.step(decided, 0)
    (bar,) = recorded(frame.iloc[10:11], "A", trader.stream.rules.columns)
    for act in (lambda: trader.push(bar), trader.to_parts, lambda: trader.begin(bars.part(10, 20))):
        with pytest.raises(RunError, match="the trader has stopped"):
            act()
    for i in range(1, 10):
        trader.step(decided, i)
    trader.push(bar, confirmed=True, now=bar.time)


class TestPlantedFaults:
    """What bar by bar would show is shown by blocks alone, and by bar by bar alone."""

    @pytest.fixture(autouse=True, params=[7, 100])
    def block(self, request, monkeypatch):
        """Let no block hold all bars: it would be the table of the backtest again."""
        monkeypatch.setattr(replay, "BLOCK", request.param)
        return request.param

    def compare(self, policy, table, frame, start, singly, make=SimulatedBroker):
        """Decide and account as a backtest does, trade on paper, and require equality."""
        test, rows = frame.iloc[start:], table[start:]
        asset = asset_of(test["open"], test["close"], test.index.as_unit("ns").asi8, rows)
        past = {str(name): frame[name].to_numpy() for name in frame}
        asset = dataclasses.replace(asset, columns=past)
        path = follow(policy.table(asset), policy.flat)
        batch = run_backtest("x", asset, np.array(policy.positions)[path], DEAR, START)
        trader = trader_of(policy, frame, PaperMarket("A", START, DEAR), make)
        result = paper_trade(trader, frame, start, singly=singly)
        names = list(policy.inputs.names)
        return result.require_equal(batch.equity, batch.exposure, pd.DataFrame(rows, columns=names))

    @pytest.fixture(params=[0.0, 1.0], ids=BLOCKS)
    def singly(self, request):
        return np.full(300, request.param == 1.0)

    @pytest.mark.parametrize("planted", ["peek", "scaled", "leaky", "bars_left"])
    def test_a_feature_that_sees_ahead_or_too_far_back(self, planted, singly):
        frame = make_bars(400)
        specs = [FeatureSpec("returns", {"horizons": (1, 2)}), FeatureSpec(f"{HERE}:{planted}")]
        policy, table = policy_for(frame, specs, 100)
        with pytest.raises((RunError, FeatureError), match=planted):
            self.compare(policy, table.values, frame, 100, singly)

    @pytest.mark.parametrize("kind", ["late", "generous"])
    def test_a_broker_that_accounts_wrongly(self, kind, singly):
        asset, policy = random_asset(300, seed=3), random_policy(3, (-1.0, 0.0, 1.0), seed=3)
        brokers = {"late": LateBroker, "generous": GenerousBroker}
        frame = frame_of(asset)
        assert self.compare(policy, asset.features, frame, 0, singly)[0] < 1e-9
        with pytest.raises(RunError, match="equity is"):
            self.compare(policy, asset.features, frame, 0, singly, brokers[kind])

    def test_a_decision_that_depends_on_what_was_asked_before(self, singly):
        asset, plain = random_asset(300, seed=3), random_policy(3, (-1.0, 0.0, 1.0), seed=3)
        policy = Moody(plain.positions, plain.inputs, plain.scaler, plain.network)
        with pytest.raises(RunError, match="the target is"):
            self.compare(policy, asset.features, frame_of(asset), 0, singly)

    @pytest.mark.parametrize("alone", [True, False])
    def test_a_decision_that_differs_only_alone_or_only_in_tables(self, alone, block):
        # The backtest's table has 2,048 rows at once, and here all of them.
        asset, plain = random_asset(300, seed=3), random_policy(3, (-1.0, 0.0, 1.0), seed=3)
        policy = Sized(plain.positions, plain.inputs, plain.scaler, plain.network, alone)
        frame, few = frame_of(asset), mixed(300, 4, 0.3)
        with pytest.raises(RunError, match="the target is"):
            self.compare(policy, asset.features, frame, 0, few)
        if alone:  # nothing differs in blocks
            none = np.zeros(300, bool)
            if 300 % block != 1:
                assert self.compare(policy, asset.features, frame, 0, none)[0] < 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class Moody(QPolicy):
    """Planted: each call decides otherwise than the one before."""

    def choose(self, features, bars):
        calls = self.__dict__.get("calls", 0)
        object.__setattr__(self, "calls", calls + 1)
        return (super().choose(features, bars) + calls) % len(self.positions)


@dataclass(frozen=True, eq=False, repr=False)
class Sized(QPolicy):
    """Planted: decides otherwise about a single row, or about fewer rows than 299."""

    alone: bool

    def choose(self, features, bars):
        other = len(features) == 1 if self.alone else len(features) < 299
        return (super().choose(features, bars) + other) % len(self.positions)


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


@feature
def age(bars):
    """A user's feature that depends on all bars since the start, and declares nothing."""
    mean = np.cumsum(bars["close"]) / np.arange(1, len(bars["close"]) + 1)
    out = bars["close"] / mean - 1.0
    out[:3] = np.nan
    return out


@feature
def peek(bars):
    """Planted: the return of tomorrow, 0 at the end."""
    close = bars["close"]
    return np.concatenate([close[1:] / close[:-1] - 1.0, [0.0]])


@feature
def scaled(bars):
    """Planted: by the largest price there will be."""
    return bars["close"] / bars["close"].max()


@feature
def leaky(bars):
    """Planted: claims a window of one bar, but averages the whole past."""
    return bars["close"] / (np.cumsum(bars["close"]) / np.arange(1, len(bars["close"]) + 1)) - 1.0


@feature
def bars_left(bars):
    """Planted: knows where the data end."""
    return 1.0 / np.arange(len(bars["close"]), 0, -1)


for planted in (peek, scaled, leaky, bars_left):
    planted.lookback = 0


class TestWhatIsPushed:
    def times(self, n, gaps=()):
        steps = np.full(n, 60 * 10**9)
        steps[list(gaps)] *= 30
        return np.cumsum(steps)

    def test_up_to_the_limit_it_is_every_bar(self):
        bars = {s: Replayed(self.times(50), np.zeros(49)) for s in "AB"}
        chosen = bars_to_push(bars, np.random.default_rng(0), most=100, pushed=20)
        assert all(each.all() and len(each) == 50 for each in chosen.values())
        chosen = bars_to_push(bars, np.random.default_rng(0), most=99, pushed=20)
        assert not any(each.all() for each in chosen.values())

    def test_beyond_it_the_ends_gaps_trades_and_more(self):
        exposure = np.zeros(19_999)
        exposure[7_000:9_000] = 1.0  # decided at the close of bars 7,000 and 9,000
        bars = {"A": Replayed(self.times(20_000, [12_345]), exposure)}
        for seed in range(5):
            (chosen,) = bars_to_push(bars, np.random.default_rng(seed), 10_000, 2_000).values()
            assert chosen[:250].all()
            assert chosen[-250:].all()
            # The bar after the gap; the decision, its fill and the bar after it.
            for around in (12_345, 7_000, 7_001, 9_000, 9_001):
                assert chosen[around]
            assert 1_500 < chosen.sum() <= 2_100
            inner = chosen[250:-250]
            assert all(part.any() for part in np.array_split(inner, 10))
        again = bars_to_push(bars, np.random.default_rng(4), 10_000, 2_000)["A"]
        assert again.tobytes() == chosen.tobytes()

    def test_where_gaps_and_trades_are_many_some_are_chosen(self):
        exposure = (np.arange(19_999) // 3 % 2).astype(float)
        bars = {"A": Replayed(self.times(20_000, range(50, 20_000, 50)), exposure)}
        (chosen,) = bars_to_push(bars, np.random.default_rng(0), 10_000, 2_000).values()
        assert chosen.sum() <= 2_100

    def test_every_symbol_has_some(self):
        bars = {f"S{i}": Replayed(self.times(126), np.zeros(125)) for i in range(505)}
        chosen = bars_to_push(bars, np.random.default_rng(0))
        counts = [int(each.sum()) for each in chosen.values()]
        assert min(counts) >= 8
        assert sum(counts) < 10_000
        assert sum(counts) < 505 * 126

    def test_a_symbol_with_few_bars_has_all_of_them(self):
        bars = {
            "A": Replayed(self.times(20_000), np.zeros(19_999)),
            "B": Replayed(self.times(4), np.zeros(3)),
        }
        chosen = bars_to_push(bars, np.random.default_rng(0))
        assert chosen["B"].all()
